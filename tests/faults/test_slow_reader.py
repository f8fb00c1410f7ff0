"""A subscriber that reads nothing hurts only itself (contract §4.4)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.conformance.subject import unique
from tests.faults.conftest import Start
from tests.faults.stuck import StuckSubscriber
from tests.faults.subject import MIB, Subject, percentile
from tests.raw.http import HttpConnection
from tests.raw.sse import SseStream

EVENT_BYTES = 65_536
RSS_BOUND = 32 * MIB
WARM_UP = 48
P99_EVENTS = 1000
"""Of fewer publishes the p99 is the slowest one or two, which any pause of the machine is."""
DATA = b"x" * EVENT_BYTES

POLICIES = ["disconnect", "drop-oldest"]
TRANSPORTS = ["sse", "websocket"]


@dataclass
class Stream:
    """A topic with a subscriber that reads, and how long each publish to it took."""

    gateway: Subject
    topic: str
    publisher: HttpConnection
    reader: SseStream
    seconds: list[float] = field(default_factory=list)
    published: int = 0

    async def publish(self, *, subscribers: set[int]) -> None:
        """Publish the next event; the reader must get it before any other."""
        id = str(self.published)
        request = self.gateway.publish_request(self.topic, body=DATA, id=id)
        begun = time.perf_counter()
        response = await self.publisher.exchange(request, "POST", within=10)
        self.seconds.append(time.perf_counter() - begun)
        self.published += 1
        assert response.status == 200, response
        assert response.json()["subscribers"] in subscribers, response
        event = await self.reader.next_event(within=10)
        assert event.id == id
        assert event.data is not None
        assert len(event.data) == EVENT_BYTES


@dataclass
class Measured:
    """What publishing beside a stuck subscriber cost."""

    rss_growth: int
    stuck: Stream
    free: Stream

    def check(self) -> None:
        """Memory must be bounded, and publishers must not feel the stuck subscriber."""
        stuck, free = self.stuck.seconds[WARM_UP:], self.free.seconds[WARM_UP:]
        figures = {
            "rss growth, MiB": self.rss_growth / MIB,
            "median with, ms": percentile(stuck, 0.5) * 1e3,
            "median without, ms": percentile(free, 0.5) * 1e3,
            "p99 with, ms": percentile(stuck, 0.99) * 1e3,
            "p99 without, ms": percentile(free, 0.99) * 1e3,
        }
        print(*(f"{name} {value:.2f}" for name, value in figures.items()), sep="; ")
        assert self.rss_growth < RSS_BOUND, figures
        # Both were published to in turn, so a busy machine slows them alike.
        assert figures["median with, ms"] < 1.5 * figures["median without, ms"] + 0.5, figures
        if len(free) >= P99_EVENTS:
            assert figures["p99 with, ms"] < 2 * figures["p99 without, ms"] + 10, figures


async def publish_beside(gateway: Subject, topic: str, size: int, *, stuck: Callable[[], bool]) -> Measured:
    """Publish *size* bytes to *topic*, and a third of it in turn to a topic that has no stuck subscriber."""
    other = unique("free")
    async with (
        await gateway.connect() as publisher,
        gateway.sse(topic) as beside,
        gateway.sse(other) as alone,
    ):
        await gateway.has_connections(2, topic)
        with_stuck = Stream(gateway, topic, publisher, beside)
        without = Stream(gateway, other, publisher, alone)
        for _ in range(WARM_UP):
            await without.publish(subscribers={1})
        before = peak = gateway.rss
        for number in range(size // EVENT_BYTES):
            await with_stuck.publish(subscribers={2} if stuck() else {1, 2})
            if number % 3 == 0:
                await without.publish(subscribers={1})
            if number % 16 == 0:
                peak = max(peak, gateway.rss)
        return Measured(max(peak, gateway.rss) - before, with_stuck, without)


SIZES = [pytest.param(24 * MIB, id="24 MiB"), pytest.param(256 * MIB, id="256 MiB", marks=pytest.mark.slow)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_disconnect(start: Start, transport: str, size: int) -> None:
    gateway = await start(slow_reader="disconnect")
    topic = unique("stuck")
    async with await StuckSubscriber.open(gateway, topic, transport) as stuck:
        await gateway.has_connections(1, topic)
        (listed,) = (await gateway.get("/connections", topic=topic))["items"]
        measured = await publish_beside(gateway, topic, size, stuck=lambda: False)
        entry = gateway.running.wait_for_log("slow reader closed")
        assert entry["connection"] == listed["id"]
        assert (await gateway.metrics())["gateway_slow_disconnects_total"] == 1
        await gateway.is_idle()
        read, broke_off = await stuck.read_to_end()
        assert broke_off is not None, "it could take this for the stream's orderly end"
        assert broke_off.reset
        assert [told.id for told in read if told.kind == "event"] == [str(id) for id in range(len(read) - 1)]
    measured.check()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_drop_oldest(start: Start, transport: str, size: int) -> None:
    gateway = await start(slow_reader="drop-oldest")
    topic = unique("stuck")
    async with await StuckSubscriber.open(gateway, topic, transport) as stuck:
        await gateway.has_connections(1, topic)
        measured = await publish_beside(gateway, topic, size, stuck=lambda: True)
        (listed,) = (await gateway.get("/connections", topic=topic))["items"]
        assert listed["pending"] > 0, listed
        assert 0 < listed["pending_bytes"] <= MIB + 2 * EVENT_BYTES, listed
        assert listed["behind_since"] >= listed["since"], listed
        assert (await gateway.metrics())["gateway_gaps_total"] > 0
        published = measured.stuck.published
        seen: list[int] = []
        missed = 0
        async for told in stuck.read():
            if told.kind == "gap":
                assert told.reason == "slow-reader"
                missed += told.missed
            elif told.kind == "event":
                assert int(told.id) == len(seen) + missed, "a gap stands where its events would have stood"
                seen.append(int(told.id))
                if int(told.id) == published - 1:
                    break
        assert missed > 0
        assert len(seen) + missed == published
    await gateway.is_idle()
    measured.check()


async def test_a_slow_reader_that_catches_up_in_time_loses_nothing(start: Start) -> None:
    gateway = await start(slow_reader="disconnect", outbox_events=100_000, outbox_bytes=64 * MIB)
    topic = unique("late")
    async with await StuckSubscriber.open(gateway, topic, "sse") as late, await gateway.connect() as publisher:
        await gateway.has_connections(1, topic)
        count = 24 * MIB // EVENT_BYTES
        for id in range(count):
            response = await publisher.exchange(gateway.publish_request(topic, body=DATA, id=str(id)), "POST")
            assert response.status == 200
        (listed,) = (await gateway.get("/connections", topic=topic))["items"]
        assert listed["pending"] > 0
        expected = 0
        async for told in late.read():
            if told.kind == "event":
                assert told.id == str(expected)
                expected += 1
                if expected == count:
                    break
        assert (await gateway.metrics())["gateway_outbox_bytes"] == 0
