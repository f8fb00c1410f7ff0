"""The gateway with its WebSocket consumer taken out and an echo put in.

What is left to judge is what we add to the servers: handshake, framing, limits, closing. All but WebSockets
goes to the gateway's own application, so that it starts, logs and drains as it always does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway_project.asgi import application as gateway

Message = dict[str, Any]


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Send every WebSocket message back as it came."""
    if scope["type"] != "websocket":
        await gateway(scope, receive, send)
        return
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        kind = "bytes" if message.get("text") is None else "text"
        await send({"type": "websocket.send", kind: message[kind]})
