"""The schemas of the streams' events, against what the hub writes."""

import asyncio
from collections.abc import Callable

from gateway_project.stream_events import SUBSCRIBER_EVENTS, TAIL_EVENTS, Gap, references, schemas
from tests.unit.topics.scripted import Client
from topics.encoding import Format
from topics.events import Event
from topics.hub import Hub
from topics.outbox import OutboxLimits
from topics.placement.base import Drop


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_all_that_a_tail_shows_is_described() -> None:
    hub = Hub("node-1", 3000)
    tail = Client(["a"], form=Format.SSE_TAIL, limits=OutboxLimits(2, 1 << 20, "drop-oldest")).open()
    hub.add_tail("a", tail.connection)
    hub.deliver(Event(("a", "b"), "first", "data", "order"))
    await until(lambda: len(tail.seen()) == 1)
    hub.report_drop(Drop(("a",), "dropped", 1.5))
    hub.gap("a", None, "interrupted")
    tail.writer.block()
    for number in range(5):
        hub.deliver(Event(("a",), str(number), "data"))
        await until(lambda number=number: tail.connection.sent + sum(tail.gaps) == 2 + number)  # type: ignore[misc]
    tail.writer.drain()
    tail.connection.close("shutdown", code=1012, retry_ms=2000)
    told = {}
    for one in tail.seen():
        told[one.type] = TAIL_EVENTS[one.type].model_validate_json(one.data)
    # `gateway.open` is the consumer's; the conformance suite compares it.
    assert told.keys() == TAIL_EVENTS.keys() - {"gateway.open"}
    assert told["gateway.gap"] == Gap(topic="a", missed=2, reason="slow-reader")


def test_each_reference_has_its_schema_and_says_what_is_in_it() -> None:
    described = schemas()
    for events in (SUBSCRIBER_EVENTS, TAIL_EVENTS):
        for place in references(events).values():
            schema = described[place["$ref"].rpartition("/")[2]]
            assert schema["additionalProperties"] is False
            assert set(schema["required"]) == set(schema["properties"])
            assert schema["description"]
