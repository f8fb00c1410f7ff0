"""A gateway that plays what a test gives it, byte by byte: for what a real one does only when something breaks."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.utils import accept_key

from tests.raw.http import Headers
from tests.raw.websocket import encode

SECONDS = 30.0
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Gone(Exception):
    """The client has ended its connection."""


class Call:
    """A request, and what goes back."""

    def __init__(self, connection: socket.socket, reader: Any) -> None:
        line = reader.readline().decode("latin-1").split()
        if len(line) != 3:
            raise Gone
        self.at = time.monotonic()
        self.method, self.target = line[0], urlsplit(line[1])
        self.query = {name: values[0] for name, values in parse_qs(self.target.query, keep_blank_values=True).items()}
        pairs = iter(lambda: reader.readline().decode("latin-1").strip("\r\n"), "")
        self.headers = Headers((name, value.strip()) for name, _, value in (pair.partition(":") for pair in pairs))
        self.body = _body(reader, self.headers)
        self.connection, self._reader = connection, reader

    @property
    def last_event_id(self) -> str:
        """The last id that the client says it has; empty for none."""
        return self.headers.get("last-event-id") or self.query.get("last_event_id", "")

    @property
    def topics(self) -> str:
        """The topics that it asks for."""
        return self.headers.get("x-sse-topic") or self.query.get("topic", "")

    @property
    def upgrades(self) -> bool:
        """Whether it wants a WebSocket."""
        return "sec-websocket-key" in self.headers

    def send(self, data: bytes, piece: int = 1 << 20) -> None:
        """Send bytes, in pieces of so many."""
        try:
            for start in range(0, len(data), piece):
                self.connection.sendall(data[start : start + piece])
        except OSError as error:
            raise Gone from error

    def answer(self, status: int, body: object = None, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"content-length": str(len(content)), "content-type": "application/problem+json", **(headers or {})}
        if status == 204:
            del fields["content-length"]
        lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in fields.items())]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    def begin(self, retry: int | None = None) -> None:
        """Begin what was asked for, a stream or a WebSocket, with its opening."""
        topics = self.topics.split(",")
        opening: dict[str, object] = {"connection": "c", "topics": topics, "node": "stage"}
        if self.upgrades:
            told = f"sec-websocket-accept: {accept_key(self.headers.get('sec-websocket-key'))}"
            head = f"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: Upgrade\r\n{told}\r\n\r\n"
            self.send(head.encode())
            self.message({"type": "open", **opening})
            return
        fields = "content-type: text/event-stream\r\naccess-control-allow-origin: *\r\nconnection: close"
        told = "" if retry is None else f"retry: {retry}\n"
        block = f"{told}event: gateway.open\ndata: {json.dumps(opening)}\n\n"
        self.send(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{block}".encode())

    def message(self, message: Mapping[str, object]) -> None:
        """Send a message in the form of the transport."""
        if self.upgrades:
            self.send(encode(TEXT, json.dumps(message).encode(), masked=False))
        elif message["type"] == "event":
            self.send(f"id: {message['id']}\ndata: {json.dumps(message)}\n\n".encode())
        else:
            content = {name: value for name, value in message.items() if name != "type"}
            self.send(f"event: gateway.{message['type']}\ndata: {json.dumps(content)}\n\n".encode())

    def event(self, id: str) -> None:
        """Send an event."""
        self.message({"type": "event", "topics": ["t"], "id": id, "event": "message", "data": f"data of {id}"})

    def keep_alive(self, seconds: float) -> None:
        """Keep the connection alive for so long: comments on SSE, an answer to each ping on a WebSocket."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self.upgrades:
                self.send(b": keep-alive\n\n")
                time.sleep(min(left, 0.2))
                continue
            for opcode, payload in self._frames(left):
                if time.monotonic() >= end:
                    return
                if opcode == PING:
                    self.send(encode(PONG, payload, masked=False))

    def _frames(self, seconds: float) -> Iterator[tuple[int, bytes]]:
        self.connection.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while head := self._reader.read(2):
                size = head[1] & 0x7F
                assert size < 126, "no client of these tests sends so much"
                mask, payload = self._reader.read(4), self._reader.read(size)
                yield head[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
            raise Gone

    def hold(self) -> None:
        """Do nothing until the client goes."""
        self.connection.settimeout(SECONDS)
        with contextlib.suppress(OSError):
            while self.connection.recv(4096):
                pass
        raise Gone


def _body(reader: Any, headers: Headers) -> bytes:
    if "chunked" in headers.get("transfer-encoding"):
        pieces = []
        while size := int(reader.readline().split(b";")[0], 16):
            pieces.append(reader.read(size))
            reader.readline()
        reader.readline()
        return b"".join(pieces)
    body: bytes = reader.read(int(headers.get("content-length", "0")))
    return body


class Stage:
    """A server on loopback that plays one script for each request, and the last one for all that follow."""

    def __init__(self, *scripts: Callable[[Call], None]) -> None:
        self.calls: list[Call] = []
        self.failures: list[BaseException] = []
        self._scripts = scripts
        self._news = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        assert not self.failures or kind, self.failures

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                while True:
                    call = Call(connection, reader)
                    with self._news:
                        script = self._scripts[min(len(self.calls), len(self._scripts) - 1)]
                        self.calls.append(call)
                        self._news.notify_all()
                    script(call)
                    if call.method == "GET":
                        return  # A stream ends with its connection.
        except (Gone, OSError, struct.error):
            pass
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            self.failures.append(error)

    def called(self, times: int, seconds: float = SECONDS) -> list[Call]:
        """Wait for so many requests; returns all so far."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.calls) >= times, seconds), (
                f"{len(self.calls)} requests within {seconds:g} s instead of {times}"
            )
            return list(self.calls)
