"""The static files of the installed apps, served by the gateway itself: its pages load nothing from other hosts.

WhiteNoise decides the headers. Its Django middleware is not used: it is synchronous, and would put every request of
the JSON API into a thread.
"""

from functools import cache
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from whitenoise import WhiteNoise

_MAX_AGE_SECONDS = 3600


@require_safe
def static_file(request: HttpRequest, path: str) -> HttpResponse:
    """Answer with a static file of an installed app."""
    found = _files().files.get(request.path)
    if found is None:
        raise Http404
    answer = found.get_response("GET", request.META)
    content = b""
    if answer.file is not None:
        with answer.file:
            content = answer.file.read()
    return HttpResponse(content, status=answer.status, headers=dict(answer.headers))


@cache
def _files() -> WhiteNoise:
    served = WhiteNoise(None, max_age=_MAX_AGE_SECONDS, allow_all_origins=False)
    for app in apps.get_app_configs():
        directory = Path(app.path, "static")
        if directory.is_dir():
            served.add_files(directory, prefix=settings.STATIC_URL)
    return served
