"""An SSE response under way: the part that subscribers and tails share."""

from topics.asgi import Scope, Send
from topics.connection import Connection
from topics.cors import Headers
from topics.writer import EXTENSION, Framing, SendWriter, Writer

SSE_HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # nginx and those who follow it would buffer the stream without this.
    (b"x-accel-buffering", b"no"),
]


def response_writer(scope: Scope, send: Send) -> Writer:
    """Return the server's writer for a response, or the stand-in over `send`."""
    extension = (scope.get("extensions") or {}).get(EXTENSION)
    writer: Writer = extension["writer"] if extension else SendWriter(send, Framing.IDENTITY)
    return writer


async def open_stream(send: Send, connection: Connection, headers: Headers, first: bytes) -> None:
    """Start the response and open the connection with its first bytes."""
    await send({"type": "http.response.start", "status": 200, "headers": [*SSE_HEADERS, *headers]})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    connection.open(first)
