"""Django's ASGI handler, with what HTTP promises for every path: HEAD, OPTIONS, 405, lengths, and problems."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any, cast

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from gateway_project.errors import BAD_REQUEST, TOO_LARGE, respond, tell
from topics.problems import method_not_allowed


class Handler(ASGIHandler):
    """Django as the gateway serves it.

    HEAD is answered as GET without content, OPTIONS with `allow`, another unknown method with a problem. Every
    response has its `content-length`, without which a server would chunk it even for an HTTP/1.0 client, and is not
    to be stored unless its view says otherwise.

    Django must have been set up (`django.setup`) before one is made.
    """

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponse]:
        """Return the request, or a problem when its query is not UTF-8 or its body is too large.

        Django refuses these before any view or middleware could.
        """
        request, refusal = super().create_request(scope, body_file)
        if refusal is None:
            return cast(ASGIRequest, request), None
        return None, respond(TOO_LARGE if refusal.status_code == 413 else BAD_REQUEST)

    async def listen_for_disconnect(self, receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
        """Return once the client has gone.

        Django's own raises `RequestAborted`, in a task of its own that nobody asks for its result when the whole
        request has been cancelled meanwhile: asyncio would log that as an error. Returning means the same to Django.
        """
        with contextlib.suppress(RequestAborted):
            await super().listen_for_disconnect(receive)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request."""
        asked = request.method or ""
        if asked == "HEAD":
            request.method = "GET"
        response = await super().get_response_async(request)
        if isinstance(response, HttpResponse):
            if response.status_code == 405:
                _answer_method(response, asked)
            _measure(response, head=asked == "HEAD")
        response.headers.setdefault("cache-control", "no-store")
        return response


def _answer_method(response: HttpResponse, asked: str) -> None:
    known = {method.strip() for method in response["allow"].split(",")}
    if "GET" in known:
        known.add("HEAD")
    allow = ", ".join(sorted({*known, "OPTIONS"}))
    if asked == "OPTIONS":
        response.status_code = 204
        response["allow"] = allow
    else:
        tell(response, method_not_allowed(asked, allow))


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
