"""WebSocket frames as they are on the wire (RFC 6455), right or wrong as a test wants them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.raw.http import DEADLINE, Ended, HttpConnection, request

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that the server sent."""

    final: bool
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The status code of a close frame; 1005 when it carries none (RFC 6455, 7.1.5)."""
        assert self.opcode == CLOSE, self
        return int(struct.unpack("!H", self.payload[:2])[0]) if self.payload else 1005


def upgrade(target: str, headers: Iterable[tuple[str, str | bytes]] = (), *, key: str = "") -> bytes:
    """The bytes of an opening handshake (RFC 6455, 4.1)."""
    key = key or base64.b64encode(os.urandom(16)).decode()
    return request(
        "GET",
        target,
        [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", key),
            ("sec-websocket-version", "13"),
            *headers,
        ],
    )


def encode(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """The bytes of one frame; a client's must be masked (RFC 6455, 5.1)."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    stream = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ stream).to_bytes(size, "big")


class RawWebSocket:
    """A WebSocket whose every frame is sent and read by hand: it answers nothing by itself."""

    def __init__(self, connection: HttpConnection) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, url: str, target: str, headers: Iterable[tuple[str, str | bytes]] = ()) -> Self:
        """Make the opening handshake; fails when the server does not switch."""
        connection = await HttpConnection.open(url)
        key = base64.b64encode(os.urandom(16)).decode()
        await connection.send(upgrade(target, headers, key=key))
        head = await connection.read_head()
        expected = base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()
        if head.status != 101 or head.headers.get("sec-websocket-accept") != expected:
            await connection.close()
            raise AssertionError(f"no WebSocket: {head}")
        return cls(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()

    async def send_frame(
        self, opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
    ) -> None:
        """Send one frame."""
        await self.connection.send(encode(opcode, payload, final=final, masked=masked, reserved=reserved))

    async def send_json(self, value: Any) -> None:
        """Send *value* as one text frame."""
        await self.send_frame(TEXT, json.dumps(value).encode())

    async def read_frame(self, *, within: float = DEADLINE) -> Frame:
        """The next frame; raises Ended when the connection ends before."""
        reader = self.connection.reader
        async with asyncio.timeout(within):
            try:
                first, second = await reader.readexactly(2)
                assert not second & 0x80, "a server must not mask (RFC 6455, 5.1)"
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await reader.readexactly(8))
                return Frame(bool(first & 0x80), first & 0x0F, await reader.readexactly(size))
            except asyncio.IncompleteReadError as error:
                raise Ended(error.partial) from error
            except ConnectionError as error:
                raise Ended(reset=True) from error

    async def read_until(self, opcode: int, *, within: float = DEADLINE) -> Frame:
        """The next frame with *opcode*; others before it are left out."""
        async with asyncio.timeout(within):
            while True:
                frame = await self.read_frame(within=within)
                if frame.opcode == opcode:
                    return frame

    async def read_json(self, *, within: float = DEADLINE) -> Any:
        """The next text message, which must be in one frame, read as JSON."""
        frame = await self.read_until(TEXT, within=within)
        assert frame.final, "the gateway sends a message in one frame"
        return json.loads(frame.payload)
