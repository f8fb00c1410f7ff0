"""The guard's own client: one event after the other, so that every run asks the same of the server."""

import base64
import os
import re
import selectors
import signal
import socket
import time
from pathlib import Path

LIMIT_SECONDS = 60.0
"""The longest that the server may take for anything; a server that is counted is slow."""

_IDS = {"sse": re.compile(rb"^id: (\d+)$", re.MULTILINE), "websocket": re.compile(rb'"id": ?"(\d+)"')}
DATA = b"the quick brown fox jumps over the lazy dog. " * 4 + b"the quick brown fox."
"""200 bytes, the size of the benchmarks' events."""


class Wrong(Exception):
    """The server did not do what it must; its counts then mean nothing."""


class Subscriber:
    """One SSE response or WebSocket.

    Args:
        address: Of the server.
        topic: What it subscribes to.
        transport: `sse` or `websocket`.
    """

    def __init__(self, address: tuple[str, int], topic: str, transport: str) -> None:
        self.topic = topic
        self.transport = transport
        self._socket = socket.create_connection(address, LIMIT_SECONDS)
        path, headers = f"/sse?topic={topic}", ""
        opened = b"event: gateway.open\n"
        if transport == "websocket":
            path = f"/ws?topic={topic}"
            key = base64.b64encode(bytes(16)).decode()
            headers = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            headers += f"sec-websocket-key: {key}\r\n"
            opened = b'"open"'
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nhost: {address[0]}:{address[1]}\r\n{headers}\r\n".encode())
        self.received = b""
        while opened not in self.received:
            self._read()
        self.received = b""

    def fileno(self) -> int:
        """Return its descriptor, as `selectors` wants it."""
        return self._socket.fileno()

    def _read(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise Wrong(f"the server ended a {self.transport} subscriber; it had sent {self.received[-300:]!r}")
        self.received += data

    def read(self) -> None:
        """Take what has come."""
        self._read()

    def complete(self, events: int) -> bool:
        """Tell whether so many events have come whole: a frame may come in parts."""
        return self.received.count(DATA) >= events and len(self.ids()) >= events

    def ids(self) -> list[int]:
        """Return the ids of the events that have come, in their order."""
        return [int(each) for each in _IDS[self.transport].findall(self.received)]


class Publisher:
    """One keep-alive connection.

    Args:
        address: Of the server.
        key: The API key.
    """

    def __init__(self, address: tuple[str, int], key: str) -> None:
        self._socket = socket.create_connection(address, LIMIT_SECONDS)
        self._head = f"POST /publish HTTP/1.1\r\nhost: {address[0]}:{address[1]}\r\nauthorization: Bearer {key}\r\n"

    def send(self, topic: str, number: int) -> None:
        """Send one publish in one write."""
        head = f"{self._head}x-sse-topic: {topic}\r\nx-sse-id: {number}\r\ncontent-length: {len(DATA)}\r\n\r\n"
        self._socket.sendall(head.encode() + DATA)

    def answer(self, status: int) -> None:
        """Read the answer.

        Raises:
            Wrong: It is not the status expected.
        """
        received = b""
        while b"\r\n\r\n" not in received:
            data = self._socket.recv(65536)
            if not data:
                raise Wrong("the server ended a publisher's connection")
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        if not head.startswith(f"HTTP/1.1 {status} ".encode()):
            raise Wrong(f"a publish was answered {received[:300]!r}, not {status}")
        found = re.search(rb"(?im)^content-length: *(\d+)", head)
        left = int(found[1]) - len(body) if found else 0
        while left > 0:
            left -= len(self._socket.recv(left))


def wait_for(subscribers: list[Subscriber], ids: list[int]) -> None:
    """Wait until every subscriber has these events, once and in this order, and forget them.

    Raises:
        Wrong: One has others, or does not get them in time.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    expected = len(ids)
    with selectors.DefaultSelector() as selector:
        for each in subscribers:
            selector.register(each, selectors.EVENT_READ, each)
        while waiting := selector.get_map():
            if time.monotonic() > deadline:
                raise Wrong(f"{len(waiting)} of {len(subscribers)} subscribers did not get {expected} events")
            for key, _ in selector.select(1.0):
                key.data.read()
                if key.data.complete(expected):
                    selector.unregister(key.data)
    for each in subscribers:
        if each.ids() != ids or each.received.count(DATA) != expected:
            raise Wrong(f"a {each.transport} subscriber got {each.ids()[:40]}, not {ids[:40]}")
        each.received = b""


class Stopped:
    """Keeps a process from running while something is prepared for it, so that it finds all of it at once.

    Args:
        pid: Its id.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT_SECONDS
        while _state(self._pid) not in ("T", "t"):
            if time.monotonic() > deadline:
                raise Wrong("the server does not stop")
            time.sleep(0.001)

    def __exit__(self, *error: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
