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

from dashboard import pages

_MAX_AGE_SECONDS = 3600


@require_safe
def static_file(request: HttpRequest, path: str) -> HttpResponse:
    """Answer with a static file of an installed app."""
    found = _files().files.get(request.path)
    if found is None:
        raise Http404
    return pages.file_response(found, request)


@cache
def _files() -> WhiteNoise:
    served = WhiteNoise(None, max_age=_MAX_AGE_SECONDS, allow_all_origins=False)
    for app in apps.get_app_configs():
        directory = Path(app.path, "static")
        # The dashboard has a path of its own, with headers of its own.
        if directory.is_dir() and directory not in pages.BUILD.parents:
            served.add_files(directory, prefix=settings.STATIC_URL)
    return served
