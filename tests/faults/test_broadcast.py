"""Broadcasts: events for every connection, on every node, in their place among the others."""

from __future__ import annotations

from redis.asyncio import Redis

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.nodes import start_nodes
from tests.faults.test_sources_redis import runs, state
from tests.redis_server import RedisServer, needs_redis

TOPIC = "gateway.broadcast"


async def test_without_the_setting_nobody_can_reach_everybody(start: Start) -> None:
    node = await start()
    async with node.sse("a") as stream:
        assert stream.opened["topics"] == ["a"]
        answer = await node.publish(TOPIC, "to all")
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-topic")
        answer = await node.publish(["a", TOPIC], "to all")
        assert answer.status_code == 400
        answer = await node.http.post("/api/v1/publish", json={"topics": [TOPIC], "id": "1", "data": "to all"})
        assert answer.status_code == 400


async def test_a_broadcast_keeps_its_place_among_the_events_of_each_topic(start: Start) -> None:
    node = await start(broadcast="true")
    async with node.sse("a") as first, node.sse("b") as second, node.websocket("c") as third:
        assert first.opened["topics"] == ["a", TOPIC]
        events = [
            {"topics": [topic], "id": f"{number}-{topic}", "data": "x"}
            for number in range(100)
            for topic in ("a", TOPIC, "b")
        ]
        answer = await node.http.post("/api/v1/publish/batch", json={"events": events})
        assert [result["subscribers"] for result in answer.json()["results"]] == [1, 3, 1] * 100
        for stream, topic in ((first, "a"), (second, "b")):
            wanted = [event["id"] for event in events if event["topics"][0] in (topic, TOPIC)]
            assert [block.id for block in await stream.events(len(wanted))] == wanted
        heard = await third.events(100)
        assert [event["id"] for event in heard] == [f"{number}-{TOPIC}" for number in range(100)]
    assert (await node.publish(TOPIC, "to nobody")).status_code == 204


@needs_redis
async def test_what_redis_broadcasts_reaches_everybody_once_on_every_node(start: Start) -> None:
    with RedisServer() as redis:
        nodes = await start_nodes(start, redis, sources="redis-pubsub")

        async def one_runs() -> bool:
            return "running" in [await state(node, "redis-pubsub") for node in nodes]

        await eventually(one_runs, within=15)
        async with (
            nodes[0].sse("a") as first,
            nodes[1].sse("b", "c") as second,
            nodes[2].websocket("channel:user123") as third,
            Redis.from_url(redis.url) as client,
        ):
            await client.publish("sse:broadcast", '{"event_type":"alert","data":"System update","id":"all"}')
            await client.publish("sse:user123", '{"event_type":"notification","data":{"msg":"Hello!"},"id":"one"}')
            for stream in (first, second):
                event = await stream.next_event()
                assert (event.id, event.event, event.data) == ("all", "alert", "System update")
            assert [event["id"] for event in await third.events(2)] == ["all", "one"]
            # The next event is another one: the broadcast came once.
            assert (await nodes[2].publish("a", "after", id="after")).status_code == 200
            assert (await first.next_event()).id == "after"


async def test_a_source_that_only_brings_topics_makes_nobody_hold_the_broadcast(start: Start) -> None:
    with RedisServer() as redis:
        node = await start(sources="redis-streams", redis_streams_url=redis.url, redis_streams_keys="orders")
        await runs(node, "redis-streams")
        async with node.sse("a") as stream:
            assert stream.opened["topics"] == ["a"]
