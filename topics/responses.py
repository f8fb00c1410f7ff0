"""Whole responses over plain ASGI."""

from collections.abc import Sequence

from topics.asgi import Scope, Send
from topics.problems import Problem

WEBSOCKET_DENIAL = "websocket.http.response"
"""ASGI's extension for answering a WebSocket handshake with an HTTP response."""

Headers = Sequence[tuple[bytes, bytes]]


async def respond(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send a response that is complete: `headers` hold its content-length if it has a body."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse(send: Send, problem: Problem, headers: Headers = ()) -> None:
    """Send a problem (RFC 9457).

    Args:
        send: ASGI's.
        problem: What went wrong.
        headers: Further headers, such as those of CORS.
    """
    await respond(send, problem.status, [*problem.asgi_headers(), *headers], problem.body())


async def deny(scope: Scope, send: Send, problem: Problem) -> None:
    """Answer a WebSocket handshake with a problem, where the server can."""
    if WEBSOCKET_DENIAL in (scope.get("extensions") or {}):
        headers = problem.asgi_headers()
        await send({"type": f"{WEBSOCKET_DENIAL}.start", "status": problem.status, "headers": headers})
        await send({"type": f"{WEBSOCKET_DENIAL}.body", "body": problem.body(), "more_body": False})
    else:
        # Without the extension ASGI knows only one refusal: HTTP 403 without a reason.
        await send({"type": "websocket.close"})
