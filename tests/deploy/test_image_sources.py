"""Message sources inside the images: Redis and PostgreSQL in the usual one, Google Pub/Sub in the one with sources."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
import redis

from tests.deploy.conftest import needs_containers, podman
from tests.deploy.images import GATEWAY, WITH_SOURCES
from tests.deploy.test_image import LOCKED, podman_error
from tests.postgres_server import PostgresServer, needs_postgres
from tests.pubsub.server import PubSubServer
from tests.redis_server import RedisServer, needs_redis
from tests.server_process import free_port

pytestmark = needs_containers
NAME = "gateway-with-sources"
START_SECONDS = 60.0


@contextlib.contextmanager
def running(image: str, sources: str, **environment: str) -> Iterator[str]:
    """The URL of a locked down container of *image* whose sources all run."""
    port = free_port()
    given = environment | {"GATEWAY_API_KEYS": "key", "PORT": str(port), "GATEWAY_SOURCES": sources}
    variables = [argument for name, value in given.items() for argument in ("-e", f"{name}={value}")]
    podman("rm", "-f", "-t", "0", NAME, check=False)
    podman("run", "-d", "--name", NAME, *LOCKED, *variables, image)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    try:
        while True:
            with contextlib.suppress(httpx.HTTPError, json.JSONDecodeError):
                answer = httpx.get(f"{url}/ready", headers={"accept": "application/json"}, trust_env=False)
                states = answer.json().get("sources", {}) if answer.status_code == 200 else {}
                if states == dict.fromkeys(sources.split(","), "running"):
                    break
            assert time.monotonic() < deadline, podman("logs", NAME)
            time.sleep(0.1)
        yield url
    finally:
        podman("rm", "-f", "-t", "10", NAME, check=False)


@contextlib.contextmanager
def subscribed(url: str, topic: str, **parameters: str) -> Iterator[Iterator[str]]:
    """The data of the events that come to *topic*, once its connection is open."""
    query = parameters | {"topic": topic}
    with httpx.stream("GET", f"{url}/sse", params=query, trust_env=False, timeout=20) as stream:
        stream.raise_for_status()
        lines = stream.iter_lines()
        while next(lines) != "event: gateway.open":
            pass
        next(lines)
        yield (line.removeprefix("data: ") for line in lines if line.startswith("data: "))


@needs_redis
@needs_postgres
def test_the_usual_image_takes_messages_of_redis_and_postgresql() -> None:
    with RedisServer() as server, PostgresServer() as postgres:
        urls = {"GATEWAY_REDIS_PUBSUB_URL": server.url, "GATEWAY_POSTGRES_URL": postgres.url}
        with running(GATEWAY, "redis-pubsub,postgres", **urls) as url:
            with subscribed(url, "channel:7") as events, redis.Redis.from_url(server.url) as client:
                client.publish("sse:7", json.dumps({"event_type": "paid", "data": "from Redis"}))
                assert next(events) == "from Redis"
            with subscribed(url, "orders") as events, psycopg.connect(postgres.url, autocommit=True) as connection:
                message = json.dumps({"topics": ["orders"], "data": "from PostgreSQL"})
                connection.execute("SELECT pg_notify('sse_gateway', %s)", [message])
                assert next(events) == "from PostgreSQL"


def test_the_image_with_sources_takes_messages_of_google_pub_sub(monkeypatch: pytest.MonkeyPatch) -> None:
    pubsub: Any = pytest.importorskip(
        "google.cloud.pubsub_v1", reason="not run: requirements-sources.txt is not installed"
    )
    image = json.loads(podman("image", "inspect", WITH_SOURCES))[0]
    print(f"{WITH_SOURCES}: {image['Size'] / 1e6:.0f} MB")
    with PubSubServer() as server:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.address)
        publisher = pubsub.PublisherClient()
        publisher.create_topic(name="projects/shop/topics/events")
        with pubsub.SubscriberClient() as subscriber:
            subscription = "projects/shop/subscriptions/gateway"
            subscriber.create_subscription(
                request={"name": subscription, "topic": "projects/shop/topics/events", "ack_deadline_seconds": 10}
            )
        names = {
            "PUBSUB_EMULATOR_HOST": server.address,
            "GCP_PROJECT": "shop",
            "PUBSUB_SUBSCRIPTION": "gateway",
        }
        with running(WITH_SOURCES, "gcp-pubsub", **names) as url, subscribed(url, "channel:7") as events:
            publisher.publish("projects/shop/topics/events", b"from Google", channel_id="7").result(timeout=10)
            assert next(events) == "from Google"
        publisher.stop()


def test_the_usual_image_says_what_google_pub_sub_needs() -> None:
    variables = ["-e", "GATEWAY_API_KEYS=key", "-e", "GATEWAY_SOURCES=gcp-pubsub"]
    assert "requirements-sources.txt" in podman_error("run", "--rm", *LOCKED, *variables, GATEWAY)
