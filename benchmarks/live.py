"""One live subscriber, publishes at a fixed rate, and a client that comes back for all that is kept: one epoll loop.

It shares the generator's core with nothing: what a replay costs the live subscriber is then the server's doing.
"""

import re
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from benchmarks.server import ServerFailed

PUBLISHERS = 4
WAIT_SECONDS = 120.0
_LIVE = re.compile(rb"data: live-(\d+)\n")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\nid: kept-(\d+)\n")


@dataclass(slots=True)
class Replay:
    """A client that came back, and what it got.

    Attributes:
        seconds: From its request to the last kept event.
        bytes: That it read.
        latencies: Of the live subscriber meanwhile, in seconds.
    """

    seconds: float
    bytes: int
    latencies: list[float]


@dataclass(slots=True)
class _Publisher:
    connection: socket.socket
    answer: bytes = b""
    busy: bool = False


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    pieces: list[bytes] = field(default_factory=list)


class Live:
    """The live subscriber of a topic and its publishers.

    Args:
        address: Of the gateway.
        key: Its API key.
        topic: One that keeps history.
        rate: Events a second.
    """

    def __init__(self, address: str, key: str, topic: str, rate: float) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._key = key
        self._topic = topic
        self._pause = 1 / rate
        self._selector = selectors.DefaultSelector()
        self._number = 0
        self._due: dict[int, float] = {}
        self._late: deque[int] = deque()
        self._latencies: list[tuple[float, float]] = []
        self._buffer = b""
        self._subscriber = self._connect()
        self._subscriber.sendall(self._request("GET", f"/sse?topic={topic}"))
        _wait_for(self._subscriber, b"gateway.open")
        self._selector.register(self._subscriber, selectors.EVENT_READ, "live")
        self._publishers = [_Publisher(self._connect()) for _ in range(PUBLISHERS)]
        for publisher in self._publishers:
            self._selector.register(publisher.connection, selectors.EVENT_READ, publisher)
        self._next = time.perf_counter()

    def close(self) -> None:
        """End its connections."""
        for connection in (self._subscriber, *(publisher.connection for publisher in self._publishers)):
            connection.close()
        self._selector.close()

    def usual(self, seconds: float) -> list[float]:
        """Return the latencies of so many seconds with nothing beside."""
        self._next = began = time.perf_counter()
        end = began + seconds
        while time.perf_counter() < end:
            self._turn(end)
        return self._settled(began)

    def replay(self, count: int) -> Replay:
        """Let a client come back that has seen the first of so many kept events.

        Raises:
            ServerFailed: It did not get each of the others once, in order.
        """
        client = _Client(self._connect())
        header = "last-event-id: kept-1\r\n"
        self._next = began = time.perf_counter()
        client.connection.sendall(self._request("GET", f"/sse?topic={self._topic}", header))
        self._selector.register(client.connection, selectors.EVENT_READ, client)
        last = b"\nid: kept-%d\n" % count
        tail = b""
        seen = 0
        while last not in tail:
            if time.perf_counter() - began > WAIT_SECONDS:
                raise ServerFailed(f"the replay did not end within {WAIT_SECONDS:g} s")
            self._turn(began + WAIT_SECONDS)
            tail = tail[-100:] + b"".join(client.pieces[seen:]) if len(client.pieces) > seen else tail
            seen = len(client.pieces)
        seconds = time.perf_counter() - began
        self._selector.unregister(client.connection)
        client.connection.close()
        received = b"".join(client.pieces)
        numbers = [int(number) for number in _ID.findall(received)]
        if numbers != list(range(2, count + 1)) or b"gateway.gap" in received:
            raise ServerFailed(f"the replay gave {len(numbers)} events, not each of {count - 1} once and in order")
        return Replay(seconds, len(received), self._settled(began, began + seconds))

    def _settled(self, since: float, until: float = float("inf")) -> list[float]:
        deadline = time.perf_counter() + 10
        while self._due and time.perf_counter() < deadline:
            self._turn(deadline, publishing=False)
        if self._due:
            raise ServerFailed(f"{len(self._due)} live events did not arrive")
        found = [latency for due, latency in self._latencies if since <= due <= until]
        self._latencies.clear()
        return found

    def _turn(self, until: float, *, publishing: bool = True) -> None:
        now = time.perf_counter()
        while publishing and self._next <= now:
            self._number += 1
            self._due[self._number] = self._next
            self._late.append(self._number)
            self._next += self._pause
        self._publish()
        ready = self._selector.select(max(0.0, min(self._next, until) - time.perf_counter()) if publishing else 0.01)
        # The subscriber first: what the others cost here is no latency of the server's.
        for key, _ in sorted(ready, key=lambda each: each[0].data != "live"):
            piece = cast(socket.socket, key.fileobj).recv(262_144)
            if not piece:
                raise ServerFailed("the server ended a connection")
            if key.data == "live":
                self._arrived(piece)
            elif isinstance(key.data, _Client):
                key.data.pieces.append(piece)
            else:
                self._answered(key.data, piece)

    def _publish(self) -> None:
        # Each in its turn: one that was idle for long would be closed.
        for publisher in list(self._publishers):
            if not self._late:
                return
            if not publisher.busy:
                number = self._late.popleft()
                data = f"live-{number}\n{'x' * 190}"
                headers = f"x-sse-topic: {self._topic}\r\nx-sse-id: live-{number}\r\ncontent-length: {len(data)}\r\n"
                publisher.connection.sendall(self._request("POST", "/publish", headers) + data.encode())
                publisher.busy = True
                self._publishers.remove(publisher)
                self._publishers.append(publisher)

    def _arrived(self, piece: bytes) -> None:
        now = time.perf_counter()
        self._buffer += piece
        end = self._buffer.rfind(b"\n\n") + 2
        for match in _LIVE.finditer(self._buffer, 0, max(0, end)):
            due = self._due.pop(int(match[1]))
            self._latencies.append((due, now - due))
        self._buffer = self._buffer[max(0, end) :]

    def _answered(self, publisher: _Publisher, piece: bytes) -> None:
        publisher.answer += piece
        head, ends, body = publisher.answer.partition(b"\r\n\r\n")
        if not ends:
            return
        length = _LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200"):
            raise ServerFailed(f"a publish was answered {head[:200]!r}")
        if len(body) >= int(length[1]):
            publisher.answer, publisher.busy = b"", False

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _request(self, method: str, target: str, headers: str = "") -> bytes:
        return (
            f"{method} {target} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._key}\r\n{headers}\r\n".encode()
        )


def _wait_for(connection: socket.socket, text: bytes) -> None:
    received = b""
    while text not in received or not received.rstrip(b"\r\n").endswith(b"}"):
        piece = connection.recv(65_536)
        if not piece:
            raise ServerFailed(f"the server answered {received[:200]!r}")
        received += piece
