"""The dashboard's pages. They hold nothing secret: the key is asked for by the page itself, and sent to the API."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard import pages


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Answer with the dashboard, or with how to build it."""
    return pages.serve(request) if pages.built() else pages.not_built()


@require_safe
def file(request: HttpRequest, path: str) -> HttpResponse:
    """Answer with one of the files that the dashboard loads."""
    return pages.serve(request)


@require_safe
def to_index(request: HttpRequest) -> HttpResponse:
    """Send a browser from the gateway's address, or from the path without its slash, to the dashboard."""
    query = request.META.get("QUERY_STRING", "")
    return HttpResponse(status=308, headers={"location": f"{pages.MOUNT}{'?' if query else ''}{query}"})
