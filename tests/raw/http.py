"""One HTTP/1.1 connection, byte by byte (RFC 9112)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

DEADLINE = 5.0
"""Seconds within which an answer must come, unless a test says otherwise."""

LARGEST_HEAD = 1 << 20
_BODILESS = frozenset({204, 304})


class Ended(Exception):
    """The peer ended the connection.

    ``received`` holds what came of an incomplete message, ``reset`` says that the end was not orderly.
    """

    def __init__(self, received: bytes = b"", *, reset: bool = False) -> None:
        super().__init__(f"connection {'reset' if reset else 'ended'} after {received[:200]!r}")
        self.received = received
        self.reset = reset


class Headers:
    """Header fields in the order in which they came; names are compared without case."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = [(name.lower(), value) for name, value in pairs]

    def all(self, name: str) -> list[str]:
        """Every value of the field *name*."""
        return [value for known, value in self.pairs if known == name.lower()]

    def get(self, name: str, default: str = "") -> str:
        """The values of the field *name* as one list (RFC 9110, 5.3), or *default*."""
        values = self.all(name)
        return ", ".join(values) if values else default

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def __repr__(self) -> str:
        return f"Headers({self.pairs!r})"


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and header fields; ``raw`` is their bytes with the empty line."""

    version: str
    status: int
    reason: str
    headers: Headers
    raw: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def headers(self) -> Headers:
        return self.head.headers

    @property
    def closes(self) -> bool:
        """Whether the server says that this was the connection's last answer (RFC 9112, 9.6)."""
        return "close" in self.headers.get("connection").lower()

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


def request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str | bytes]] = (),
    body: bytes | None = None,
    *,
    version: str = "1.1",
) -> bytes:
    """The bytes of a request, exactly as told: only ``host`` and, with a *body*, ``content-length`` are added."""
    fields = [(name, value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in headers]
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("host", b"gateway.test"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        fields.append(("content-length", b"%d" % len(body)))
    lines = [f"{method} {target} HTTP/{version}".encode("latin-1")]
    lines += [name.encode("latin-1") + b": " + value for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """A body in chunked transfer coding (RFC 9112, 7.1), its last chunk included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"


def parse_head(raw: bytes) -> Head:
    """Read the bytes up to and with the empty line."""
    status_line, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, status, reason = [*status_line.split(" ", 2), ""][:3]
    assert version.startswith("HTTP/"), f"not a status line: {status_line!r}"
    pairs = []
    for line in lines:
        name, colon, value = line.partition(":")
        assert colon, f"not a header field: {line!r}"
        pairs.append((name, value.strip(" \t")))
    return Head(version.removeprefix("HTTP/"), int(status), reason, Headers(pairs), raw)


class HttpConnection:
    """A TCP (or TLS) connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, url: str, *, receive_buffer: int | None = None) -> Self:
        """Connect to the host and port of *url*.

        *receive_buffer* is the size of the kernel's buffer in bytes, for a client that shall be slow.
        """
        parts = urlsplit(url)
        host = parts.hostname or "127.0.0.1"
        port = parts.port or (443 if parts.scheme in {"https", "wss"} else 80)
        tls = ssl.create_default_context() if parts.scheme in {"https", "wss"} else None
        async with asyncio.timeout(DEADLINE):
            if receive_buffer is None:
                streams = await asyncio.open_connection(host, port, ssl=tls, limit=LARGEST_HEAD)
            else:
                loop = asyncio.get_running_loop()
                family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
                sock = socket.socket(family, kind, protocol)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
                streams = await asyncio.open_connection(
                    sock=sock, ssl=tls, server_hostname=host if tls else None, limit=receive_buffer
                )
        return cls(*streams)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, data: bytes, *, within: float = DEADLINE) -> None:
        """Send *data*; a peer that is gone already is seen by the next read."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            async with asyncio.timeout(within):
                await self.writer.drain()

    async def read_head(self, *, within: float = DEADLINE) -> Head:
        """Read one head, interim ones (1xx) not left out; raises Ended."""
        async with asyncio.timeout(within):
            with _ends():
                return parse_head(await self.reader.readuntil(b"\r\n\r\n"))

    async def read_response(self, method: str = "GET", *, within: float = DEADLINE) -> Response:
        """Read the whole response to a request with *method*; raises Ended when the connection ends before."""
        async with asyncio.timeout(within):
            head = await self.read_head(within=within)
            body = Body(self, head, method)
            pieces = []
            while piece := await body.read(within=within):
                pieces.append(piece)
            return Response(head, b"".join(pieces))

    async def exchange(self, data: bytes, method: str = "GET", *, within: float = DEADLINE) -> Response:
        """Send *data* and read one response."""
        await self.send(data, within=within)
        return await self.read_response(method, within=within)

    async def read_to_end(self, *, within: float = DEADLINE) -> bytes:
        """All that comes until the peer ends the connection, orderly or not."""
        received = bytearray()
        async with asyncio.timeout(within):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(1 << 16):
                    received += data
        return bytes(received)

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self.writer.write_eof()

    def reset(self) -> None:
        """End the connection with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            async with asyncio.timeout(DEADLINE):
                await self.writer.wait_closed()


class Body:
    """A response's body as it arrives (RFC 9112, 6.3)."""

    def __init__(self, connection: HttpConnection, head: Head, method: str = "GET") -> None:
        self._reader = connection.reader
        self.chunked = head.headers.get("transfer-encoding").lower() == "chunked"
        self.complete = False
        """Whether the body's end was told, and not only the connection's."""
        self._left: int | None = None
        self._chunk_ends = False
        if method == "HEAD" or head.status in _BODILESS or head.status < 200:
            self.chunked = False
            self._left = 0
        elif not self.chunked and "content-length" in head.headers:
            self._left = int(head.headers.get("content-length"))
        elif self.chunked:
            self._left = 0

    async def read(self, *, within: float = DEADLINE) -> bytes:
        """The next bytes, b"" at the body's end; raises Ended when the connection ends before it."""
        async with asyncio.timeout(within):
            with _ends():
                return await (self._read_chunked() if self.chunked else self._read_plain())

    async def _read_plain(self) -> bytes:
        if self._left == 0:
            self.complete = True
            return b""
        data = await self._reader.read(1 << 16 if self._left is None else min(self._left, 1 << 16))
        if self._left is not None:
            if not data:
                raise Ended
            self._left -= len(data)
        return data

    async def _read_chunked(self) -> bytes:
        if self.complete:
            return b""
        if not self._left:
            if self._chunk_ends:
                assert await self._reader.readexactly(2) == b"\r\n", "a chunk does not end with CRLF"
                self._chunk_ends = False
            line = await self._reader.readuntil(b"\r\n")
            self._left = int(line.split(b";")[0], 16)
            if self._left == 0:
                assert await self._reader.readuntil(b"\r\n") == b"\r\n", "the gateway sends no trailer fields"
                self.complete = True
                return b""
        data = await self._reader.read(min(self._left or 0, 1 << 16))
        if not data:
            raise Ended
        self._left = (self._left or 0) - len(data)
        self._chunk_ends = self._left == 0
        return data


@contextlib.contextmanager
def _ends() -> Iterator[None]:
    """Every way in which a read can meet the connection's end, as Ended."""
    try:
        yield
    except asyncio.IncompleteReadError as error:
        raise Ended(error.partial) from error
    except ConnectionError as error:
        raise Ended(reset=True) from error
