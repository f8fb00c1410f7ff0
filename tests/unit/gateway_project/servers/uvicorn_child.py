"""A uvicorn of ours as a child process, with an application that tests steer from outside.

`/stream/NAME` opens an event stream and `/ws/NAME` a WebSocket that stay open; `/control/NAME?do=...` makes them
write, close or abort, and tells their state. The other paths each misbehave in one way.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from topics.writer import EXTENSION, Writer

HEADER_TIMEOUT = 0.5
HEARTBEAT = 1.0


@dataclass
class Stream:
    """What a test may ask about one open stream."""

    writer: Writer
    drains: int = 0
    written: list[bool] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


streams: dict[str, Stream] = {}
held = asyncio.Event()
holding = asyncio.Event()
ended: list[str] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    """ASGI."""
    room, _, name = scope["path"].lstrip("/").partition("/")
    if scope["type"] == "websocket":
        await ROOMS_WS[room](scope, receive, send, name)
    else:
        await ROOMS.get(room, hello)(scope, receive, send, name)


async def answer(send: Any, status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> None:
    """Send a whole response of known length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Tell what was understood of the request."""
    seen = {
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "headers": sorted(name.decode() for name, _ in scope["headers"]),
        "version": scope["http_version"],
        "method": scope["method"],
    }
    await answer(send, 200, json.dumps(seen).encode())


async def unread(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Answer with the status of the path and never look at the body."""
    await answer(send, int(name), b"" if name == "204" else b"no")


async def read(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Read the body and tell its size and hash, or note that its sender is gone."""
    size, digest = 0, hashlib.sha256()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            ended.append(f"read/{name}")
            return
        size += len(message["body"])
        digest.update(message["body"])
        if not message["more_body"]:
            break
    await answer(send, 200, json.dumps([size, digest.hexdigest()]).encode())


async def hold(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Never call `receive`; answer when told to."""
    await hold_on()
    await answer(send, 200, b"held")


async def hold_on() -> None:
    """Wait for `control` to release."""
    held.clear()
    holding.set()
    await held.wait()
    holding.clear()


async def parts(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Answer in parts and with no length."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for part in (b"one ", b"two ", b"three"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def fail(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Fail before, between or after the parts of an answer, or give none."""
    if name == "silently":
        return
    if name != "first":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    if name == "late":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise ValueError("a secret detail")


async def stream(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Open an event stream."""
    writer = scope["extensions"][EXTENSION]["writer"]
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
    entry = register(name, writer)
    while (await receive())["type"] != "http.disconnect":
        pass
    entry.ended.set()


async def plain(scope: Any, receive: Any, send: Any, name: str) -> None:
    """An event stream over `send` alone: one event, then the end."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def register(name: str, writer: Writer) -> Stream:
    """Make a stream known to `control`."""
    entry = streams[name] = Stream(writer)

    def drained() -> None:
        entry.drains += 1

    writer.on_drain = drained
    return entry


async def control(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Do something to a stream and tell its state."""
    query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
    entry = streams.get(name)
    state: dict[str, Any] = {
        "known": entry is not None,
        "ended": ended,
        "memory": memory(),
        "tasks": len(asyncio.all_tasks()),
        "holding": holding.is_set(),
    }
    if entry is not None:
        match query.get("do"):
            case "write":
                entry.written.append(entry.writer.write(await whole_body(receive)))
            case "close":
                entry.writer.close(int(query["code"]) if "code" in query else None)
            case "abort":
                entry.writer.abort()
                entry.writer.abort()
            case "late":
                entry.writer.close()
                entry.writer.abort()
        state |= {
            "pending": entry.writer.pending_bytes,
            "drains": entry.drains,
            "written": entry.written,
            "gone": entry.ended.is_set(),
            "framing": entry.writer.framing.value,
            "options": options(entry.writer),
        }
    if query.get("do") == "release":
        held.set()
    await answer(send, 200, json.dumps(state).encode())


def options(writer: Any) -> list[int]:
    """Return the socket options that find a dead peer: keep-alive, user timeout in milliseconds, no delay."""
    sock = writer._transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return []
    return [
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
    ]


def memory() -> int:
    """Return the resident size of this process in bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - read in one step, it is not on a disk
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def whole_body(receive: Any) -> bytes:
    """Read a request's body."""
    body = bytearray()
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def echo(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Accept, open a stream for `control`, and send each text back."""
    await receive()
    await send({"type": "websocket.accept"})
    entry = register(name, scope["extensions"][EXTENSION]["writer"])
    while (message := await receive())["type"] != "websocket.disconnect":
        with contextlib.suppress(OSError):  # the peer is gone: the disconnect comes next
            await send({"type": "websocket.send", "text": message.get("text") or "binary"})
    ended.append(f"ws/{name}/{message['code']}")
    entry.ended.set()


async def late(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Accept only when told to."""
    await hold_on()
    await echo(scope, receive, send, name)


async def deny(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Refuse the handshake with a response of our own."""
    await receive()
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"7")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b'{"status":503}'})


async def fail_ws(scope: Any, receive: Any, send: Any, name: str) -> None:
    """Fail before or after the handshake."""
    await receive()
    if name == "late":
        await send({"type": "websocket.accept"})
    raise ValueError("a secret detail")


ROOMS = {
    "unread": unread,
    "read": read,
    "hold": hold,
    "parts": parts,
    "fail": fail,
    "stream": stream,
    "plain": plain,
    "control": control,
}
ROOMS_WS = {"ws": echo, "late": late, "deny": deny, "fail": fail_ws}


class Child:
    """The running server.

    Args:
        environment: Variables for the child besides this process's own.
        listens: Wait until it does; False when it cannot.
    """

    def __init__(self, environment: dict[str, str] | None = None, *, listens: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.gateway_project.servers.uvicorn_child"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stdout is not None
        host, port = json.loads(self.process.stdout.readline()) if listens else ("", 0)
        self.port = int(port)
        self.url = f"http://{host}:{port}"

    def stop(self) -> str:
        """End the server and return what it logged."""
        if self.port and self.process.poll() is None:
            self.process.terminate()
        _, log = self.process.communicate(timeout=15)
        return log


def main() -> None:
    """Serve."""
    import logging

    import uvicorn

    from gateway_project.servers import limits
    from gateway_project.servers import uvicorn as ours

    # The same bounds, sooner.
    limits.LINGER_IDLE_SECONDS = 0.3
    limits.LINGER_TOTAL_SECONDS = 1.0
    limits.MAX_CLOSE_WAIT_SECONDS = 0.5

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    if version := os.environ.get("PRETENDED_UVICORN_VERSION"):
        uvicorn.__version__ = version

    async def drain() -> None:
        print("draining", file=sys.stderr, flush=True)
        await asyncio.sleep(float(os.environ.get("DRAIN_SECONDS", "0")))
        for entry in streams.values():
            entry.writer.close(1012)

    def listening(host: str, port: int) -> None:
        print(json.dumps([host, port]), flush=True)

    ours.run(
        "tests.unit.gateway_project.servers.uvicorn_child:application",
        host="127.0.0.1",
        port=int(os.environ.get("PORT", "0")),
        header_timeout=HEADER_TIMEOUT,
        heartbeat=HEARTBEAT,
        drain=drain,
        on_listening=listening,
    )


if __name__ == "__main__":
    # uvicorn imports the application by this name: the same module, not a second one.
    from tests.unit.gateway_project.servers import uvicorn_child

    uvicorn_child.main()
