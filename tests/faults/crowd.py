"""Thousands of subscribers that come in the same moment."""

from __future__ import annotations

import errno
import resource
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.raw.http import request as http_request
from tests.raw.websocket import upgrade

RESERVED_DESCRIPTORS = 200


def allow_descriptors(count: int) -> int:
    """Raise this process's limit, which its children inherit, to *count* and some more; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + RESERVED_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


@dataclass
class Crowd:
    """What became of its clients: how many are open, and why others are not."""

    open: list[socket.socket] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0

    def receive(self, text: bytes, *, within: float) -> int:
        """Wait until each has received *text*, at most *within* seconds; returns how many have."""
        deadline = time.monotonic() + within
        reached = 0
        with selectors.DefaultSelector() as selector:
            for sock in self.open:
                selector.register(sock, selectors.EVENT_READ, b"")
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    assert isinstance(key.fileobj, socket.socket)
                    piece = key.fileobj.recv(65_536)
                    if not piece or text in key.data + piece:
                        reached += bool(piece)
                        selector.unregister(key.fileobj)
                    else:
                        selector.modify(key.fileobj, selectors.EVENT_READ, key.data + piece)
        return reached

    def close(self) -> None:
        """Leave."""
        for sock in self.open:
            sock.close()


def gather(url: str, count: int, *, within: float) -> Crowd:
    """Connect *count* clients without waiting for one another, half SSE and half WebSocket, all to the topic "crowd".

    Each is open when it has received the gateway's open event. Blocks at most *within* seconds.
    """
    address = (urlsplit(url).hostname, urlsplit(url).port)
    crowd = Crowd()
    begun = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for number in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            code = sock.connect_ex(address)
            assert code in {0, errno.EINPROGRESS}, errno.errorcode[code]
            topics = f"topic=crowd&topic=own/{number}"
            request = upgrade(f"/ws?{topics}") if number % 2 else http_request("GET", f"/sse?{topics}")
            selector.register(sock, selectors.EVENT_WRITE, [request, b""])
        while selector.get_map() and (left := begun + within - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                _advance(key.fileobj, key.data, crowd, selector)
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            crowd.failed["not answered" if key.events == selectors.EVENT_READ else "not connected"] += 1
            key.fileobj.close()
    crowd.seconds = time.monotonic() - begun
    return crowd


def _advance(sock: socket.socket, data: list[bytes], crowd: Crowd, selector: selectors.BaseSelector) -> None:
    request, received = data
    try:
        if request:
            sock.send(request)
            selector.modify(sock, selectors.EVENT_READ, [b"", b""])
            return
        piece = sock.recv(65_536)
    except OSError as error:
        piece, received = b"", errno.errorcode.get(error.errno or 0, "?").encode()
    received += piece
    if not piece:
        crowd.failed[received[:100].decode("latin-1") or "closed"] += 1
        selector.unregister(sock)
        sock.close()
    elif b"gateway.open" in received or b'"type":"open"' in received:
        crowd.open.append(sock)
        selector.unregister(sock)
    else:
        selector.modify(sock, selectors.EVENT_READ, [b"", received])
