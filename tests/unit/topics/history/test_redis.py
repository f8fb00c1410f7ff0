"""The store in Redis, on a real one, under the suite that every store passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from tests.redis_server import RedisServer, needs_redis
from tests.unit.topics.history.contract import Build, HistoryContract
from tests.unit.topics.history.shelf import Shelf, Stores, aged, last, rules
from tests.unit.topics.scripted import Client
from topics.history.base import History
from topics.history.redis.store import RedisHistory
from topics.history.rules import Rules
from topics.placement.base import Placement
from topics.placement.redis.keys import Keys
from topics.placement.redis.placement import RedisPlacement

TTL = 3.0

pytestmark = needs_redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One Redis for the module, long enough up for a node to know that it is alone."""
    with RedisServer() as running:
        with redis.Redis.from_url(running.url) as client:
            while client.info("server")["uptime_in_seconds"] <= TTL + 1:
                asyncio.run(asyncio.sleep(0.05))
        yield running


@pytest.fixture
def emptied(server: RedisServer) -> RedisServer:
    """The module's Redis, with nothing in it."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server


def names(server: RedisServer) -> set[str]:
    with redis.Redis.from_url(server.url) as client:
        return {key.decode().partition(":")[2] for key in client.keys("*")}


class TestRedisHistory(HistoryContract):
    @pytest.fixture
    def stores(self, emptied: RedisServer) -> Stores:
        def make(rules: Rules, dedupe_seconds: float) -> tuple[History, Placement]:
            placement = RedisPlacement(emptied.url, ttl=TTL, dedupe_seconds=dedupe_seconds)
            return RedisHistory(placement, rules), placement

        return make

    async def test_nothing_is_left_of_a_topic_whose_time_is_over(self, build: Build, server: RedisServer) -> None:
        shelf = await build(rules(old=aged(0.3)), dedupe_seconds=0.3)
        before = names(server)
        client = await shelf.join("old-held")
        for number in range(3):
            await shelf.publish(str(number), "old", "old-held", "nobody")
        assert names(server) > before
        await shelf.until(lambda: _are_left(server, "old", set()))
        # Somebody is still connected to it: it exists, and counts on.
        assert {"topic:old-held", "vanished"} < names(server)
        await shelf.publish("3", "old-held")
        assert [kept.number["old-held"] for kept in await shelf.everything({"old-held": 0})] == [4]
        shelf.node.forget(client.connection)
        await shelf.placement.detach(client.connection.id, ["old-held"], gone=True)
        # What is behind the last connection is kept for its time, and no longer.
        assert await shelf.ids("old-held") == ["3"]
        assert [topic.name for topic in (await shelf.placement.topics(limit=9)).items] == []
        await shelf.until(lambda: _are_left(server, "old-held", {"position", "vanished"} | before))

    async def test_what_a_topic_takes_is_bounded(self, build: Build, server: RedisServer) -> None:
        shelf = await build(rules(a=last(10)))
        with redis.Redis.from_url(server.url) as client:
            for number in range(100):
                await shelf.publish(f"{number}", "a")
                if number % 3 == 0:
                    await shelf.publish("again", "a")
            prefix = "{sse-gateway/0}:"
            assert client.xlen(f"{prefix}stream:a") == 10
            # As many again are known by their ids, and no id is known of which no event is.
            assert client.xlen(f"{prefix}index:a") == 20
            known = {fields[b"i"] for _, fields in client.xrange(f"{prefix}index:a")}
            assert set(client.hkeys(f"{prefix}ids:a")) == known

    async def test_a_topic_that_no_longer_ages_is_not_removed(
        self, build: Build, shelf: Shelf, server: RedisServer
    ) -> None:
        aging = await build(rules(a=aged(0.1)))
        await aging.publish("1", "a", "aging")
        await shelf.publish("2", "a")
        await shelf.until(lambda: _are_left(server, "aging", set()))
        assert await shelf.ids("a") == ["1", "2"]

    async def test_large_events_are_listed_in_short_pages(self, shelf: Shelf) -> None:
        for number in range(5):
            await shelf.publish(str(number), "c", data="x" * 600_000)
        page = await shelf.history.events("c", limit=5)
        assert (len(page.items), page.total) == (2, 5)
        assert len(await shelf.listed("c")) == 5

    async def test_an_event_of_many_topics_is_one_event(self, shelf: Shelf) -> None:
        topics = [f"c{number}" for number in range(100)]
        client = await shelf.join(*topics, "x")
        routed = await shelf.publish("1", *topics[:50], "x", 'c"\\')
        assert len(routed.topics) == 52
        await shelf.publish("2", "x")
        await shelf.until(lambda: _has_ended(client))
        assert [seen.id for seen in client.seen()] == ["1", "2"]
        (kept,) = await shelf.everything(dict.fromkeys([*topics, 'c"\\'], 0))
        assert kept.event.topics == (*topics[:50], "x", 'c"\\')
        assert set(kept.number) == {*topics[:50], 'c"\\'}

    def test_all_of_a_topic_is_in_one_slot(self) -> None:
        keys = Keys(3)
        every = [keys.position, keys.kept, keys.expiring, keys.vanished]
        every += [keys.stream("{a}"), keys.index("{a}"), keys.ids("{a}"), keys.answer("{a}", "{b}")]
        assert {key.partition("}")[0] for key in every} == {"{sse-gateway/3"}


async def _are_left(server: RedisServer, topic: str, more: set[str]) -> bool:
    """Tell whether all keys that name a topic are gone, and with *more* that nothing but those is left."""
    left = names(server)
    named = {name for name in left if name.partition(":")[2].partition(",")[0] == topic}
    return not named and (not more or left <= more | {"topics"})


async def _none_left(shelf: Shelf, topic: str) -> bool:
    return not await shelf.ids(topic)


async def _has_ended(client: Client) -> bool:
    return [seen.id for seen in client.seen()][-1:] == ["2"]
