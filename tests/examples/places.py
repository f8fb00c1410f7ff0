"""The gateways that the examples are run against."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.examples.languages import NotRun
from tests.gateway import RunningGateway, migrate
from tests.redis_server import BINARY, RedisServer
from tests.worker import WRANGLER, RunningWorker

PLACES = ("one node", "three nodes", "worker", "elsewhere")
TOPIC = "pairs"
HISTORY = f"{TOPIC}=10000"
READY_SECONDS = 60.0
KEY = "key-of-the-examples"

# A publisher whose answer is lost with its node asks again.
_ONCE = {"dedupe_seconds": 120}
_TOGETHER: dict[str, Any] = {
    "history": HISTORY,
    "retry_ms": 500,
    "api_keys": KEY,
    "cors_origins": "*",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway of one or more nodes.

    Args:
        key: an API key.
        urls: of its nodes.
        topic: one that keeps its events.
        restart: ends every connection, and lets clients come back: by a restart of each node where that can be done.
    """

    key: str
    urls: tuple[str, ...]
    topic: str
    restart: Callable[[], None]

    def url(self, number: int) -> str:
        """The node for a client of that number."""
        return self.urls[number % len(self.urls)]


@contextlib.contextmanager
def place(name: str, folder: Path) -> Iterator[Place]:
    """A gateway by its name in PLACES.

    Args:
        name: which.
        folder: an empty one, for a database.

    Raises:
        NotRun: what it needs is missing.
    """
    with ExitStack() as stack:
        yield _STARTS[name](stack, folder)


def _one_node(stack: ExitStack, folder: Path) -> Place:
    # The history outlives the process.
    database = f"sqlite:///{folder / 'history.sqlite3'}"
    migrate(database)
    settings = {"history_store": "database", "database_url": database, **_ONCE, **_TOGETHER}
    return _of_nodes(stack, [functools.partial(RunningGateway, "uvicorn", **settings)])


def _three_nodes(stack: ExitStack, folder: Path) -> Place:
    if BINARY is None:
        raise NotRun("not run: redis-server is not on this machine")
    redis = stack.enter_context(RedisServer())
    settings = {"redis_url": redis.url, "history_store": "redis", "node_ttl_seconds": 2, **_ONCE, **_TOGETHER}
    return _of_nodes(stack, [functools.partial(RunningGateway, "daphne", node_name=name, **settings) for name in "abc"])


def _of_nodes(stack: ExitStack, kinds: list[Callable[..., RunningGateway]]) -> Place:
    nodes = [stack.enter_context(kind()) for kind in kinds]
    for node in nodes:
        _wait_until_ready(node)

    def restart() -> None:
        for number, kind in enumerate(kinds):
            port = int(nodes[number].url.rpartition(":")[2])
            assert nodes[number].stop() == 0, nodes[number].log
            nodes[number] = stack.enter_context(kind(port=port))
            _wait_until_ready(nodes[number])

    return Place(KEY, tuple(node.url for node in nodes), TOPIC, restart)


def _wait_until_ready(node: RunningGateway) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while httpx.get(f"{node.url}/ready", trust_env=False).status_code != 200:
        assert time.monotonic() < deadline, node.log
        time.sleep(0.05)


def _worker(stack: ExitStack, folder: Path) -> Place:
    if not WRANGLER.exists():
        raise NotRun("not run: the Worker's packages are not installed (make worker)")
    worker = stack.enter_context(RunningWorker(**_TOGETHER))
    return _closed_by_hand(worker.url, KEY, TOPIC)


def _elsewhere(stack: ExitStack, folder: Path) -> Place:
    url, key = os.environ.get("GATEWAY_URL"), os.environ.get("GATEWAY_API_KEY")
    if not url or not key:
        raise NotRun("not run: no gateway that is deployed is named in GATEWAY_URL and GATEWAY_API_KEY")
    return _closed_by_hand(url, key, os.environ.get("GATEWAY_TOPICS", TOPIC))


def _closed_by_hand(url: str, key: str, topic: str) -> Place:
    # A Worker has no process that could be started again: each connection of the topic is ended instead.
    def restart() -> None:
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False) as http:
            for each in http.get("/api/v1/connections", params={"topic": topic, "limit": 500}).json()["items"]:
                assert http.delete(f"/api/v1/connections/{each['id']}").status_code in {204, 404}

    return Place(key, (url,), topic, restart)


_STARTS = {"one node": _one_node, "three nodes": _three_nodes, "worker": _worker, "elsewhere": _elsewhere}
