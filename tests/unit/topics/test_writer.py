"""`SendWriter`: a server's plain `send`, played by a gate that the test opens."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from topics.asgi import Message
from topics.writer import Framing, SendWriter


class Gate:
    """ASGI's `send` that takes messages only while it is open."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.waiting = 0
        self.broken = False
        self.opened = asyncio.Event()
        self.opened.set()

    async def send(self, message: Message) -> None:
        self.waiting += 1
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1
        if self.broken:
            raise OSError("the client is gone")
        self.sent.append(message)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def texts(gate: Gate) -> list[object]:
    return [message.get("text", message.get("body", message.get("code"))) for message in gate.sent]


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.mark.parametrize("framing", [Framing.IDENTITY, Framing.MESSAGE])
async def test_messages_go_out_in_order_and_drain_is_told_once(gate: Gate, framing: Framing) -> None:
    writer = SendWriter(gate.send, framing)
    drained: list[int] = []
    writer.on_drain = lambda: drained.append(len(gate.sent))
    gate.opened.clear()
    for payload in (b"a", "é".encode(), b"c"):
        assert writer.write(payload) is False
    assert writer.pending_bytes == 4
    await until(lambda: gate.waiting)
    assert drained == []
    gate.opened.set()
    await until(lambda: drained)
    assert drained == [3]
    assert writer.pending_bytes == 0
    expected: list[object] = ["a", "é", "c"] if framing is Framing.MESSAGE else [b"a", "é".encode(), b"c"]
    assert texts(gate) == expected
    assert all(message.get("more_body", True) for message in gate.sent)


@pytest.mark.parametrize(
    ("framing", "end"),
    [
        (Framing.IDENTITY, {"type": "http.response.body", "body": b"", "more_body": False}),
        (Framing.MESSAGE, {"type": "websocket.close", "code": 1012}),
    ],
)
async def test_close_follows_what_waits_and_nothing_follows_it(
    gate: Gate, framing: Framing, end: dict[str, object]
) -> None:
    writer = SendWriter(gate.send, framing)
    drained: list[int] = []
    writer.on_drain = lambda: drained.append(1)
    gate.opened.clear()
    writer.write(b"a")
    writer.close(1012 if framing is Framing.MESSAGE else None)
    writer.close(1000)
    assert writer.write(b"late") is False
    gate.opened.set()
    await until(lambda: len(gate.sent) == 2)
    await until(lambda: not gate.waiting)
    assert gate.sent[-1] == end
    assert len(gate.sent) == 2
    assert drained == []


async def test_abort_drops_what_waits_and_ends(gate: Gate) -> None:
    writer = SendWriter(gate.send, Framing.MESSAGE)
    gate.opened.clear()
    for _ in range(3):
        writer.write(b"x" * 1000)
    await until(lambda: gate.waiting)
    writer.abort()
    writer.abort()
    assert writer.pending_bytes == 0
    assert writer.write(b"late") is False
    gate.opened.set()
    await until(lambda: gate.sent)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert gate.sent == [{"type": "websocket.close", "code": 1011}]
    writer.abort()
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert len(gate.sent) == 1


async def test_an_end_that_is_stuck_behind_a_reader_is_said_by_abort(gate: Gate) -> None:
    writer = SendWriter(gate.send, Framing.IDENTITY)
    gate.opened.clear()
    writer.write(b"a")
    writer.close()
    await until(lambda: gate.waiting)
    writer.abort()
    gate.opened.set()
    await until(lambda: gate.sent)
    assert gate.sent == [{"type": "http.response.body", "body": b"", "more_body": False}]


async def test_a_send_that_raises_ends_quietly_and_holds_nothing(gate: Gate) -> None:
    writer = SendWriter(gate.send, Framing.IDENTITY)
    drained: list[int] = []
    writer.on_drain = lambda: drained.append(1)
    gate.broken = True
    writer.write(b"a")
    writer.write(b"b")
    # Whoever looks for the loss finds it in the server's disconnect message: here only nothing may be left.
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert writer.pending_bytes == 0
    writer.write(b"c")
    writer.close()
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert (gate.sent, drained) == ([], [])


async def test_a_drain_callback_may_write_again(gate: Gate) -> None:
    writer = SendWriter(gate.send, Framing.IDENTITY)
    waiting = [b"b", b"c"]

    def more() -> None:
        if waiting:
            writer.write(waiting.pop(0))

    writer.on_drain = more
    writer.write(b"a")
    await until(lambda: len(gate.sent) == 3)
    assert texts(gate) == [b"a", b"b", b"c"]
