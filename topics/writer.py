"""How bytes leave: what a server offers the hub, and what stands in where it offers nothing.

ASGI's `send` costs a dict, a coroutine and the server's whole write path for each delivery. A server of ours
therefore offers a `Writer` in `scope["extensions"]["gateway.writer"]["writer"]`, which takes bytes that are framed
already (chunk or WebSocket frame, encoded once for all connections) straight to the socket. It may be used once
the response has been started (`http.response.start` and one `http.response.body` with `more_body`), or the WebSocket
accepted. `SendWriter` keeps the same promises over plain `send`, more slowly.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from topics.asgi import Message, Send

EXTENSION = "gateway.writer"
"""The scope extension's name."""


class Framing(Enum):
    """What a writer wants around each payload."""

    CHUNKED = "chunked"
    """HTTP/1.1 chunk (RFC 9112 §7.1); frames may be joined into one write."""

    IDENTITY = "identity"
    """The payload as it is: HTTP/1.0, or `send` that frames by itself; may be joined."""

    WEBSOCKET = "websocket"
    """An unmasked, unfragmented text frame (RFC 6455 §5.2); may be joined."""

    MESSAGE = "message"
    """The payload of one WebSocket message for `send`: never joined."""


class Writer(Protocol):
    """One connection's way out.

    Attributes:
        framing: What `write` expects around each payload.
        on_drain: Called without arguments, in the event loop, once after each time that `write` returned False and the
            server then got rid of all it held. Not called after the connection is lost.
    """

    framing: Framing
    on_drain: Callable[[], None] | None

    @property
    def direct(self) -> Callable[[bytes], int] | None:
        """The socket's own `send` while the connection is open, nothing is held, and frames may be joined; else None.

        The fan-out calls it: two Python calls less a delivery. It may take a part or raise OSError; then the rest goes
        to `write`.
        """

    @property
    def pending_bytes(self) -> int:
        """Bytes that the server process holds for this socket (not those in the kernel)."""

    def write(self, data: bytes) -> bool:
        """Write framed bytes, never waiting.

        Returns:
            True when the server holds nothing of it; False when it holds a remainder: do not write again before
            `on_drain`. After the connection is lost it does nothing and returns False; the application
            learns of the loss by its disconnect message.
        """

    def close(self, code: int | None = None) -> None:
        """End the response or WebSocket in an orderly way once what is held has been written.

        Args:
            code: WebSocket close code (RFC 6455 §7.4); None for SSE.
        """

    def abort(self) -> None:
        """Drop what is held and reset the connection at once."""


class SendWriter:
    """A `Writer` over plain ASGI `send`, for servers without the extension.

    Some servers' `send` waits while the socket is full, others (stock Daphne) never do: there the bytes leave
    this count as soon as the server has them, and the slow-reader limits cannot hold. The log says so once.

    Args:
        send: ASGI's.
        framing: IDENTITY for SSE, MESSAGE for WebSocket.
    """

    def __init__(self, send: Send, framing: Framing) -> None:
        self.framing = framing
        self.direct: None = None
        self.on_drain: Callable[[], None] | None = None
        self._send = send
        self._queue: deque[tuple[Message, int]] = deque()
        self._pending = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pending_bytes(self) -> int:
        """Bytes not yet taken by `send`."""
        return self._pending

    def write(self, data: bytes) -> bool:
        """Queue one message for `send`; always False, as only `send` returning shows progress."""
        if self.framing is Framing.MESSAGE:
            self._put({"type": "websocket.send", "text": data.decode()}, len(data))
        else:
            self._put({"type": "http.response.body", "body": data, "more_body": True}, len(data))
        return False

    def close(self, code: int | None = None) -> None:
        """Queue the end."""
        if self.framing is Framing.MESSAGE:
            self._put({"type": "websocket.close", "code": code or 1000}, 0)
        else:
            self._put({"type": "http.response.body", "body": b"", "more_body": False}, 0)
        self._closed = True

    def abort(self) -> None:
        """Drop what is queued and end; plain ASGI knows no reset."""
        ended = self._closed and not self._queue
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._queue.clear()
        self._pending = 0
        if not ended:
            # An end that waited behind what has just been dropped must still be said.
            self._closed = False
            self.close(1011)

    def _put(self, message: Message, size: int) -> None:
        if self._closed:
            return
        self._queue.append((message, size))
        self._pending += size
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._queue:
                message, size = self._queue[0]
                await self._send(message)
                self._queue.popleft()
                self._pending -= size
        except Exception:  # noqa: BLE001 - the server's own "client is gone"; its disconnect message tells the consumer
            self._queue.clear()
            self._pending = 0
            self._closed = True
            return
        finally:
            if self._task is asyncio.current_task():
                # After `abort` another one sends the end.
                self._task = None
        if self.on_drain is not None and not self._closed:
            self.on_drain()
