"""The one way in for events: counted, logged, in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from publishing.service import deliverable, drop, publish
from tests.unit.topics.scripted import Client, settings
from topics import metrics
from topics.encoding import Format
from topics.events import Event
from topics.exceptions import InvalidInput
from topics.hub import BACKLOG_EVENTS
from topics.runtime import Runtime

Started = Callable[..., Awaitable[Runtime]]


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    runtime = Runtime(settings())
    await runtime.start()
    yield runtime
    await runtime.close()


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    runtimes: list[Runtime] = []

    async def start(**variables: object) -> Runtime:
        runtimes.append(Runtime(settings(**variables)))
        await runtimes[-1].start()
        return runtimes[-1]

    yield start
    for runtime in runtimes:
        await runtime.close()


async def join(runtime: Runtime, *topics: str) -> Client:
    client = Client(topics)
    await runtime.attach(client.connection)
    return client.open()


def counted(name: str) -> float:
    value = metrics.REGISTRY.get_sample_value(name)
    assert value is not None
    return value


async def test_a_publish_is_counted_and_tells_whom_it_was_handed_to(runtime: Runtime) -> None:
    await join(runtime, "a", "b")
    await join(runtime, "a")
    before = counted("gateway_published_total")
    routed = await publish(runtime, Event(("a", "b", "nobody"), "1", "x"))
    assert dict(routed.topics) == {"a": 2, "b": 1}
    assert counted("gateway_published_total") == before + 1
    assert (runtime.hub.published, runtime.hub.dropped) == (1, 0)


async def test_a_publish_to_nobody_is_dropped_logged_and_shown_to_tails(runtime: Runtime) -> None:
    tail = Client(["b"], form=Format.SSE_TAIL)
    await runtime.attach_tail("b", tail.connection)
    tail.open()
    before = counted("gateway_dropped_total")
    with capture_logs() as lines:
        routed = await publish(runtime, Event(("a", "b"), "42", "the data"))
        await drop(runtime, ("b",), "43")
    assert routed.subscribers == 0
    assert counted("gateway_dropped_total") == before + 2
    assert (runtime.hub.published, runtime.hub.dropped) == (0, 2)
    assert [(line["event"], line["topics"], line["id"]) for line in lines] == [
        ("publish dropped", ("a", "b"), "42"),
        ("publish dropped", ("b",), "43"),
    ]
    shown = bytes(tail.writer.received)
    assert shown.count(b"event: dropped\n") == 2
    assert b"the data" not in shown


async def test_a_topic_that_keeps_history_takes_every_publish(started: Started) -> None:
    runtime = await started(HISTORY="kept=9")
    assert await deliverable(runtime, ("a", "kept"), "1")
    assert not await deliverable(runtime, ("a", "b"), "1")
    routed = await publish(runtime, Event(("a", "kept"), "1", "x"))
    assert dict(routed.topics) == {"kept": 0}
    assert (runtime.hub.published, runtime.hub.dropped) == (1, 0)


async def test_a_publish_that_is_tried_again_is_answered_as_the_first_time(started: Started) -> None:
    runtime = await started(DEDUPE_SECONDS=60)
    client = await join(runtime, "a", "b")
    first = await publish(runtime, Event(("a",), "1", "x"))
    again = await publish(runtime, Event(("a",), "1", "x"))
    assert dict(first.topics) == dict(again.topics) == {"a": 1}
    assert (runtime.hub.published, runtime.hub.dropped) == (1, 0)
    await publish(runtime, Event(("a", "b"), "1", "x"))
    assert runtime.hub.published == 2
    # Also after its subscribers have left; what nobody got may come again.
    await runtime.detach(client.connection)
    assert await deliverable(runtime, ("a", "c"), "1")
    assert not await deliverable(runtime, ("c",), "1")
    assert dict((await publish(runtime, Event(("a",), "1", "x"))).topics) == {"a": 1}
    assert runtime.hub.dropped == 0


@pytest.mark.parametrize("data", ["\ud800", "x" * 100 + "\udfff", "\udcff\ud800"])
async def test_text_that_utf_8_cannot_carry_reaches_nobody(runtime: Runtime, data: str) -> None:
    client = await join(runtime, "a")
    with pytest.raises(InvalidInput, match="surrogate"):
        await publish(runtime, Event(("a",), "1", data))
    await publish(runtime, Event(("a",), "2", "\ud7ff\U0010ffff"))
    await asyncio.sleep(0)
    assert [seen.id for seen in client.seen()] == ["2"]


async def test_publishers_that_outrun_the_fan_out_wait_and_lose_nothing(runtime: Runtime) -> None:
    client = await join(runtime, "a")
    publishers = 4
    most = 0

    async def run(publisher: int) -> None:
        nonlocal most
        for number in range(BACKLOG_EVENTS):
            await publish(runtime, Event(("a",), f"{publisher}-{number}", "x"))
            most = max(most, runtime.hub.published - runtime.hub.delivered)

    await asyncio.gather(*map(run, range(publishers)))
    async with asyncio.timeout(5):
        while runtime.hub.delivered < publishers * BACKLOG_EVENTS:
            await asyncio.sleep(0)
    seen = [one.id for one in client.seen()]
    assert sorted(map(str, seen)) == sorted(f"{p}-{n}" for p in range(publishers) for n in range(BACKLOG_EVENTS))
    # Each of the publishers may have one more under way when the limit is reached.
    assert most <= BACKLOG_EVENTS + publishers
