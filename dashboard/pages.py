"""The dashboard's built files, and the page that stands in for them until they are built."""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from wsgiref.headers import Headers

from django.http import Http404, HttpRequest, HttpResponse
from whitenoise import WhiteNoise
from whitenoise.responders import Redirect, StaticFile

BUILD = Path(__file__).resolve().parent / "static" / "dashboard"
"""Where `make frontend` puts the build."""
MOUNT = "/dashboard/"
"""Where `gateway_project.urls` puts the dashboard, and where its pages look for their files."""

_IMMUTABLE = rf"^{MOUNT}assets/.+-[\w-]{{8,}}\.\w+$"

_DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


def policy(changes: Mapping[str, str]) -> str:
    """Return the dashboard's policy, some directives of it changed; one without a value is left out."""
    return "; ".join(f"{name} {value}" for name, value in {**_DIRECTIVES, **changes}.items() if value)


CONTENT_SECURITY_POLICY = policy({})
"""Nothing inline, nothing of other hosts, in nobody's frame (Content Security Policy Level 3)."""

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_NOT_BUILT = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>SSE gateway</title><style>{_STYLE}</style></head>
<body>
<main>
<h1>The dashboard is not built yet</h1>
<p>The gateway runs; only its dashboard is missing. On the gateway's machine, with Node.js 20.19 or newer, run</p>
<pre><code>make frontend</code></pre>
<p>and load this page again; the gateway need not be restarted.</p>
<p>The API is described at <a href="/api/docs">/api/docs</a>.</p>
</main>
</body>
</html>
"""


def secure(headers: Headers | HttpResponse, content_security_policy: str = CONTENT_SECURITY_POLICY) -> None:
    """Set the headers that every answer of the dashboard carries."""
    headers["content-security-policy"] = content_security_policy
    headers["x-content-type-options"] = "nosniff"
    headers["referrer-policy"] = "no-referrer"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["cross-origin-resource-policy"] = "same-origin"


def not_built() -> HttpResponse:
    """Return the page that says how to build the dashboard."""
    response = HttpResponse(_NOT_BUILT)
    secure(response, policy({"style-src": f"'sha256-{_STYLE_HASH}'"}))
    response["cache-control"] = "no-store"
    return response


def built() -> bool:
    """Return whether the dashboard has been built."""
    return _built_at() is not None


def file_response(found: StaticFile | Redirect, request: HttpRequest) -> HttpResponse:
    """Return what WhiteNoise answers for a file: whole, a range of it, or 304, compressed where the client takes it."""
    answer = found.get_response("GET", request.META)
    content = b""
    if answer.file is not None:
        with answer.file:
            content = answer.file.read()
    return HttpResponse(content, status=answer.status, headers=dict(answer.headers))


def serve(request: HttpRequest) -> HttpResponse:
    """Answer with the build's file at the request's path.

    Raises:
        Http404: The build has no such file.
    """
    built_at = _built_at()
    found = None if built_at is None else _files(BUILD, built_at).files.get(request.path)
    if found is None:
        raise Http404
    return file_response(found, request)


def _built_at() -> int | None:
    try:
        return (BUILD / "index.html").stat().st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=1)
def _files(directory: Path, built_at: int) -> WhiteNoise:
    # `built_at` is there for the cache: a new build is noticed without a restart.
    served = WhiteNoise(
        None,
        max_age=0,
        allow_all_origins=False,
        index_file=True,
        immutable_file_test=_IMMUTABLE,
        add_headers_function=lambda headers, path, url: secure(headers),
    )
    served.add_files(directory, prefix=MOUNT)
    return served
