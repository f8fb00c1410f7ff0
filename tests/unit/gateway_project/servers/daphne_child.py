"""A small ASGI application under Daphne with the gateway's additions: the child process of `daphne_process.py`.

It prints the port that it listens on. Every path is one behaviour of an application towards its server.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT))

from gateway_project.servers import daphne as gateway_daphne  # noqa: E402 - the path comes first

if "TEST_UNTRIED" in os.environ:
    gateway_daphne.TRIED_VERSIONS["daphne"] = ("0.1",)
gateway_daphne.install(
    header_timeout=float(os.environ.get("TEST_HEADER_TIMEOUT", "10")),
    heartbeat=float(os.environ.get("TEST_HEARTBEAT", "15")),
    drain=lambda: drain(),  # noqa: PLW0108 - it is defined below
)

from daphne.server import Server  # noqa: E402 - after it has been extended

from topics.wire.sse import chunk  # noqa: E402
from topics.wire.websocket import text_frame  # noqa: E402
from topics.writer import EXTENSION, Framing  # noqa: E402

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SEEN: dict[str, int] = {}
WRITERS: dict[str, Any] = {}
HELD: dict[str, asyncio.Event] = {}


def note(name: str) -> None:
    SEEN[name] = SEEN.get(name, 0) + 1


async def drain() -> None:
    note("drain")
    for writer in list(WRITERS.values()):
        writer.write(frame(writer, b"bye"))
        writer.close(1012)
    await asyncio.sleep(0.05)


def frame(writer: Any, payload: bytes) -> bytes:
    if writer.framing is Framing.CHUNKED:
        return chunk(payload)
    return payload if writer.framing is Framing.IDENTITY else text_frame(payload)


async def respond(send: Send, status: int, body: bytes = b"", headers: Any = ()) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            note("disconnect-in-body")
            return None
        part: bytes = message["body"]
        body += part
        if not message["more_body"]:
            return body


async def wait_for_disconnect(receive: Receive, name: str) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    note(name)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:  # noqa: PLR0912
    path, query = scope["path"], scope["query_string"].decode()
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif path == "/scope":
        shown = {key: repr(value) for key, value in scope.items() if key != "extensions"}
        await respond(send, 200, json.dumps(shown).encode())
    elif path == "/echo":
        body = await read_body(receive)
        if body is not None:
            digest = hashlib.sha256(body).hexdigest()
            await respond(send, 200, f"{len(body)} {digest}".encode())
    elif path == "/early":
        await respond(send, int(query or "200"), b"" if query == "204" else b"early")
    elif path == "/slow":
        await asyncio.sleep(float(query))
        await respond(send, 200, b"slow")
    elif path == "/step":
        await receive()
        note("step")
        await wait_for_disconnect(receive, "stepped")
    elif path == "/hold":
        # The body is there for the asking, and nobody asks.
        HELD[query] = asyncio.Event()
        note(f"held-{query}")
        await HELD[query].wait()
        await respond(send, 200, b"released")
    elif path == "/release":
        HELD[query].set()
        await respond(send, 200)
    elif path == "/parked":
        note("parked")
        await wait_for_disconnect(receive, "unparked")
    elif path == "/after":
        await respond(send, 200, b"after")
        await read_body(receive)
        await wait_for_disconnect(receive, "after")
    elif path == "/large":
        size, sent = int(query), 0
        headers = [(b"content-length", query.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while sent < size:
            part = b"x" * min(65_536, size - sent)
            sent += len(part)
            SEEN["large-sent"] = sent
            await send({"type": "http.response.body", "body": part, "more_body": sent < size})
        note("large-done")
    elif path == "/chunks":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"two", b""):
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})
    elif path == "/raise":
        raise ValueError("secret of the application")
    elif path == "/raise-late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise ValueError("secret of the application")
    elif path == "/nothing":
        return
    elif path == "/short":
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"short"})
    elif path == "/bad-header":
        await respond(send, 200, b"", [(b"x-test", b"a\r\nx-split: b")])
    elif path == "/stream":
        await stream(scope, receive, send, query)
    elif path == "/write":
        name, _, size = query.partition("=")
        writer = WRITERS[name]
        data = frame(writer, b"w" * int(size))
        free = writer.write(data)
        await respond(send, 200, json.dumps({"free": free, "pending": writer.pending_bytes}).encode())
    elif path == "/close":
        WRITERS[query].close(1000)
        await respond(send, 200)
    elif path == "/abort":
        WRITERS[query].abort()
        await respond(send, 200)
    elif path == "/state":
        await respond(send, 200, json.dumps(state()).encode())
    else:
        await respond(send, 404)


async def stream(scope: dict[str, Any], receive: Receive, send: Send, name: str) -> None:
    writer = scope["extensions"][EXTENSION]["writer"]
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
    writer.on_drain = lambda: note(f"drained-{name}")
    WRITERS[name] = writer
    await wait_for_disconnect(receive, f"gone-{name}")
    del WRITERS[name]


async def websocket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    path, name = scope["path"], scope["query_string"].decode()
    assert (await receive())["type"] == "websocket.connect"
    if path == "/deny":
        headers = [(b"content-type", b"text/plain"), (b"x-test", b"yes")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"now"})
        note(f"{(await receive())['type']}-denied")
        return
    if path == "/refuse":
        await send({"type": "websocket.close"})
        return
    if path == "/raise":
        raise ValueError("secret of the application")
    if path == "/late":
        await asyncio.sleep(0.3)
    await send({"type": "websocket.accept", "headers": [(b"x-test", b"yes")]})
    if path == "/raise-open":
        raise ValueError("secret of the application")
    if path == "/close":
        await send({"type": "websocket.close", "code": 1008, "reason": "no"})
    if path == "/deaf":
        WRITERS[name] = scope["extensions"][EXTENSION]["writer"]
        await asyncio.sleep(3600)
    if name:
        writer = scope["extensions"][EXTENSION]["writer"]
        writer.on_drain = lambda: note(f"drained-{name}")
        WRITERS[name] = writer
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            note(f"websocket-{message['code']}")
            WRITERS.pop(name, None)
            return
        key = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", key: message[key]})
        if path == "/behind":
            writer = WRITERS[name]
            note(f"direct-{writer.direct is not None}")
            writer.write(frame(writer, b"behind"))


def state() -> dict[str, Any]:
    return {
        "seen": SEEN,
        # The task and the connection of this request itself are not counted.
        "connections": sum(
            details.get("application_instance") is not asyncio.current_task() for details in SERVER.connections.values()
        ),
        "tasks": len(asyncio.all_tasks()) - 1,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    }


def listening() -> None:
    print(SERVER.listening_addresses[0][1], flush=True)


SERVER = Server(
    application,
    endpoints=[os.environ.get("TEST_ENDPOINT", "tcp:port=0:interface=127.0.0.1")],
    ready_callable=listening,
    application_close_timeout=1,
)

if __name__ == "__main__":
    SERVER.run()
