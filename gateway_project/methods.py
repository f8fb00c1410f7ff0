"""What HTTP promises for every path that Django answers, whatever the view: HEAD, OPTIONS, 405 and lengths."""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from gateway_project.errors import respond
from topics.problems import method_not_allowed

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def methods_middleware(get_response: View) -> View:
    """Answer HEAD as GET without content, OPTIONS with `allow`, other unknown methods with a problem.

    Every response gets its `content-length`, without which a server would chunk it even for an HTTP/1.0 client, and
    is not to be stored unless the view says otherwise.
    """

    async def answer(request: HttpRequest) -> HttpResponseBase:
        asked = request.method or ""
        if asked == "HEAD":
            request.method = "GET"
        response = await get_response(request)
        if response.status_code == 405:
            response = _other_method(asked, response["allow"])
        response.headers.setdefault("cache-control", "no-store")
        if isinstance(response, HttpResponse):
            _measure(response, head=asked == "HEAD")
        return response

    return answer


def _other_method(asked: str, allow: str) -> HttpResponse:
    known = {method.strip() for method in allow.split(",")}
    if "GET" in known:
        known.add("HEAD")
    methods = ", ".join(sorted({*known, "OPTIONS"}))
    if asked == "OPTIONS":
        return HttpResponse(status=204, headers={"allow": methods})
    return respond(method_not_allowed(asked, methods))


def _measure(response: HttpResponse, *, head: bool) -> None:
    if response.status_code in (204, 304):
        # These have no content, so nothing may describe it (RFC 9110 §8.6, §15.3.5).
        response.content = b""
        del response["content-type"]
        del response["content-length"]
        return
    response.headers.setdefault("content-length", str(len(response.content)))
    if head:
        response.content = b""
