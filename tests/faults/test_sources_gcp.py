"""The source `gcp-pubsub`, with Google's client, against Google's in-memory server over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.nodes import start_nodes
from tests.faults.test_sources_redis import ids_until, runs
from tests.pubsub.server import PubSubServer
from tests.redis_server import RedisServer, needs_redis
from tests.relay import Relay

pubsub_v1: Any = pytest.importorskip(
    "google.cloud.pubsub_v1", reason="not run: requirements-sources.txt is not installed"
)

pytestmark = pytest.mark.slow

TOPIC, SUBSCRIPTION = "projects/shop/topics/events", "projects/shop/subscriptions/gateway"


@pytest.fixture
def pubsub() -> Iterator[PubSubServer]:
    with PubSubServer() as running:
        yield running


@pytest.fixture
def relay() -> Iterator[Relay]:
    with closing(Relay()) as made:
        yield made


@pytest.fixture
def publisher(pubsub: PubSubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
    client = pubsub_v1.PublisherClient(publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True))
    make(client)
    yield client
    client.stop()


def make(client: Any) -> None:
    """Make the topic and its subscription."""
    client.create_topic(name=TOPIC)
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.create_subscription(
            request={
                "name": SUBSCRIPTION,
                "topic": TOPIC,
                "ack_deadline_seconds": 10,
                "enable_message_ordering": True,
            }
        )


def environment(address: str) -> dict[str, str]:
    return {"PUBSUB_EMULATOR_HOST": address, "GCP_PROJECT": "shop", "PUBSUB_SUBSCRIPTION": "gateway"}


def send(publisher: Any, data: bytes, key: str = "", **attributes: str) -> str:
    return str(publisher.publish(TOPIC, data, ordering_key=key, **attributes).result(timeout=60))


async def test_attributes_say_channel_type_and_id(start: Start, pubsub: PubSubServer, publisher: Any) -> None:
    # The older service's variables are enough.
    node = await start(environment=environment(pubsub.address))
    await runs(node, "gcp-pubsub")
    async with node.sse("channel:user123") as stream:
        send(publisher, b"\xff", channel_id="user123")
        send(publisher, b"a", channel_id="user123", event_type="gateway.open")
        message_id = send(publisher, b"plain", channel_id="user123")
        event = await stream.next_event()
        assert (event.id, event.event, event.data) == (message_id, "message", "plain")
        send(publisher, '{"msg":"é"}'.encode(), channel_id="user123", event_type="notification", id="order 7")
        event = await stream.next_event()
        assert (event.id, event.event, event.data) == ("order%207", "notification", '{"msg":"é"}')
    source = (await node.get("/sources"))["items"][0]
    assert (source["dead"], source["published"], source["guarantee"]) == (2, 2, "at-least-once")


async def test_messages_of_one_ordering_key_come_in_order_and_nothing_is_lost_when_the_way_is_cut(
    start: Start, pubsub: PubSubServer, publisher: Any, relay: Relay
) -> None:
    relay.listen(f"http://{pubsub.address}")
    node = await start(sources="gcp-pubsub", environment=environment(relay.url.removeprefix("http://")))
    await runs(node, "gcp-pubsub")
    async with node.sse("channel:a") as stream:
        for number in range(200):
            await asyncio.to_thread(send, publisher, b"x", "key", channel_id="a", id=f"order-{number}")
            if number in (60, 120):
                relay.cut()
        # What was under way when the way was cut comes again when its time has run out.
        seen = await asyncio.wait_for(ids_until(stream, "order-199"), 60)
        assert list(dict.fromkeys(seen)) == [f"order-{number}" for number in range(200)]


async def test_bad_messages_hold_nothing_up(start: Start, pubsub: PubSubServer, publisher: Any) -> None:
    node = await start(sources="gcp-pubsub", environment=environment(pubsub.address))
    await runs(node, "gcp-pubsub")
    poison: list[tuple[bytes, dict[str, str]]] = [
        (b"\xff", {"channel_id": "a"}),
        # As large as Pub/Sub takes them.
        (b"a" * 9_900_000, {"channel_id": "a"}),
        (b"a", {"channel_id": ""}),
        (b"a", {"channel_id": "a" * 300}),
        (b"a", {"channel_id": "a", "event_type": "gateway.open"}),
        (b"a", {"channel_id": "a", "id": "a" * 300}),
    ]
    async with node.sse("channel:a") as stream:
        for data, attributes in (*poison, (b"after", {"channel_id": "a"}), (b"to all", {})):
            await asyncio.to_thread(send, publisher, data, **attributes)
        seen = {(await stream.next_event(within=20)).data for _ in range(2)}
        # Without a channel it is for everybody.
        assert seen == {"after", "to all"}

    async def settled() -> bool:
        source = (await node.get("/sources"))["items"][0]
        return bool((source["dead"], source["published"], source["state"]) == (len(poison), 2, "running"))

    await eventually(settled, within=20)


async def test_nothing_is_lost_while_the_server_stands_still(
    start: Start, pubsub: PubSubServer, publisher: Any
) -> None:
    node = await start(sources="gcp-pubsub", environment=environment(pubsub.address), dedupe_seconds=600)
    await runs(node, "gcp-pubsub")
    ids = [f"order-{number}" for number in range(200)]

    async def publish() -> None:
        for one in ids:
            await asyncio.to_thread(send, publisher, b"x", "key", channel_id="a", id=one)

    async with node.sse("channel:a") as stream:
        publishing = asyncio.create_task(publish())
        first = await ids_until(stream, ids[60])
        pubsub.freeze()
        try:
            # The source finds that nobody answers, and what it has not acknowledged passes its deadline.
            await runs(node, "gcp-pubsub", "failing")
        finally:
            pubsub.thaw()
        assert first + await asyncio.wait_for(ids_until(stream, ids[-1]), 60) == ids
        await publishing
    await runs(node, "gcp-pubsub")


async def test_a_server_that_comes_back_with_nothing_is_told_and_used_when_its_subscription_is_made_anew(
    start: Start, pubsub: PubSubServer, publisher: Any
) -> None:
    node = await start(sources="gcp-pubsub", environment=environment(pubsub.address))
    await runs(node, "gcp-pubsub")
    async with node.sse("channel:a") as stream:
        pubsub.kill()
        await runs(node, "gcp-pubsub", "failing")
        assert (await node.publish("channel:a", "direct")).status_code == 200
        assert (await stream.next_event()).data == "direct"
        pubsub.start()
        with pubsub_v1.PublisherClient() as fresh:
            make(fresh)
            await runs(node, "gcp-pubsub", within=40)
            await asyncio.to_thread(send, fresh, b"back", channel_id="a")
            assert (await stream.next_event(within=20)).data == "back"


async def test_a_subscription_that_is_not_there_is_told(start: Start, pubsub: PubSubServer) -> None:
    node = await start(sources="gcp-pubsub", environment=environment(pubsub.address))
    await runs(node, "gcp-pubsub", "failing")
    assert (await node.get("/sources"))["items"][0]["detail"].startswith("Google Pub/Sub: 404")
    assert (await node.publish("nobody", "a")).status_code == 204


async def test_a_server_that_is_not_there_is_told_and_does_not_keep_the_gateway_from_ending(start: Start) -> None:
    with closing(Relay()) as relay:
        node = await start(sources="gcp-pubsub", environment=environment(relay.url.removeprefix("http://")))
    await runs(node, "gcp-pubsub", "failing")
    assert "cannot be reached" in (await node.get("/sources"))["items"][0]["detail"]


@needs_redis
async def test_each_message_comes_once_on_three_nodes(start: Start, pubsub: PubSubServer, publisher: Any) -> None:
    with RedisServer() as redis:
        nodes = await start_nodes(start, redis, sources="gcp-pubsub", environment=environment(pubsub.address))
        for node in nodes:
            await runs(node, "gcp-pubsub")
        async with nodes[0].sse("channel:a") as first, nodes[2].sse("channel:a") as second:
            ids = [f"order-{number}" for number in range(100)]
            for one in ids:
                await asyncio.to_thread(send, publisher, b"x", channel_id="a", id=one)
            for stream in (first, second):
                assert sorted([str(block.id) for block in await stream.events(100, within=20)]) == sorted(ids)

        async def settled() -> bool:
            listed = (await nodes[1].get("/sources"))["items"]
            return sum(int(one["published"]) for one in listed) == 100

        await eventually(settled, within=10)
