"""The gateways over which a storm goes, and what happens to each in the middle of it."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx

from tests.gateway import RunningGateway, migrate
from tests.postgres_server import BINARY as POSTGRES
from tests.postgres_server import PostgresServer
from tests.redis_server import BINARY, RedisServer

READY_SECONDS = 60.0
DOWN_SECONDS = 1.0
"""For which what is restarted is away."""
TTL_SECONDS = 3.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")

RULES = "storm/*=200000/1h"
"""More than any storm publishes: whatever is missed can be had."""


class World:
    """One gateway of one or several nodes.

    Args:
        server: what its nodes run under, in turn.
        nodes: how many.
        store: of its history.
        trouble: what is restarted in the middle.
        redis: whether the nodes are joined by one.
        postgres: whether the database is one, and no SQLite.
    """

    def __init__(
        self,
        *servers: str,
        nodes: int = 1,
        store: str = "memory",
        trouble: str | None = None,
        redis: bool = False,
        postgres: bool = False,
    ) -> None:
        self.key = secrets.token_urlsafe(24)
        self.nodes: list[RunningGateway] = []
        self.urls: list[str] = []
        self.amiss: list[str] = []
        """What its nodes wrote or did that they should not."""
        self.repeats_unanswered = not (store == "database" and trouble)
        """Whether a publisher may send an event again that was not answered: what was taken before a restart is known
        after it only where the ids live outside the process."""
        self._servers = servers
        self._count = nodes
        self._store = store
        self._trouble = trouble
        self._redis = RedisServer(arguments=DURABLE) if redis else None
        self._postgres = PostgresServer() if postgres else None
        self._stack = AsyncExitStack()
        self._folder = Path()

    @property
    def missing(self) -> str | None:
        """What this machine lacks for it."""
        if self._postgres is not None and POSTGRES is None:
            return "PostgreSQL is not installed"
        return "redis-server is not installed" if self._redis is not None and BINARY is None else None

    async def __aenter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        try:
            if self._redis is not None:
                await asyncio.to_thread(self._stack.enter_context, self._redis)
            if self._postgres is not None:
                await asyncio.to_thread(self._stack.enter_context, self._postgres)
            if self._store == "database":
                await asyncio.to_thread(migrate, self._database_url)
            # One after the other: together they would take the time to start from each other.
            for number in range(self._count):
                self.nodes.append(await asyncio.to_thread(self._node(number).start))
            self.urls = [node.url for node in self.nodes]
            await self.is_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*[asyncio.to_thread(self._stop, node) for node in self.nodes])
        await self._stack.aclose()

    def _node(self, number: int, port: int = 0) -> RunningGateway:
        settings: dict[str, object] = {
            "api_keys": self.key,
            "node_name": f"node-{number}",
            "history": RULES,
            "history_store": self._store,
            "dedupe_seconds": 600,
        }
        if self._redis is not None:
            settings |= {"redis_url": self._redis.url, "node_ttl_seconds": TTL_SECONDS}
        if self._store == "database":
            settings |= {"database_url": self._database_url}
        return RunningGateway(self._servers[number % len(self._servers)], port=port, **settings)  # type: ignore[arg-type]

    @property
    def _database_url(self) -> str:
        return f"sqlite:///{self._folder / 'history.sqlite3'}" if self._postgres is None else self._postgres.url

    def _stop(self, node: RunningGateway) -> None:
        code = node.stop()
        if code:
            self.amiss.append(f"{node.url} ended with {code}")
        self.amiss += [f"{node.url} wrote {line[:1000]}" for line in node.errors]

    async def is_ready(self) -> None:
        """Wait until every node says that it can deliver."""
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient(trust_env=False) as client:
            for url in self.urls:
                while not await _says_ready(client, url):
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{url} is not ready after {READY_SECONDS:g} s")
                    await asyncio.sleep(0.05)

    async def strike(self) -> None:
        """Restart what is to be restarted, and wait until all nodes are ready again."""
        match self._trouble:
            case None:
                return
            case "redis":
                assert self._redis is not None
                await asyncio.to_thread(self._redis.kill)
                await asyncio.sleep(DOWN_SECONDS)
                await asyncio.to_thread(self._redis.start)
            case "gateway":
                await self._restart(self._count - 1)
            case trouble:
                raise ValueError(trouble)
        await self.is_ready()

    async def _restart(self, number: int) -> None:
        node = self.nodes[number]
        await asyncio.to_thread(self._stop, node)
        await asyncio.sleep(DOWN_SECONDS)
        again = self._node(number, urlsplit(node.url).port or 0)
        self.nodes[number] = await asyncio.to_thread(again.start)


async def _says_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/ready")).status_code == 200
    except httpx.TransportError:
        return False


WORLDS: dict[str, Callable[[], World]] = {
    "memory-daphne": lambda: World("daphne"),
    "memory-uvicorn": lambda: World("uvicorn"),
    "redis": lambda: World("daphne", "uvicorn", nodes=3, store="redis", redis=True),
    "redis-restarted": lambda: World("uvicorn", "daphne", nodes=3, store="redis", redis=True, trouble="redis"),
    "redis-node-restarted": lambda: World("daphne", "uvicorn", nodes=3, store="redis", redis=True, trouble="gateway"),
    "database": lambda: World("daphne", store="database"),
    "database-restarted": lambda: World("uvicorn", store="database", trouble="gateway"),
    "database-three-nodes": lambda: World("daphne", "uvicorn", nodes=3, store="database", redis=True),
    "postgres-three-nodes": lambda: World("uvicorn", "daphne", nodes=3, store="database", redis=True, postgres=True),
    "postgres-node-restarted": lambda: World(
        "daphne", "uvicorn", nodes=3, store="database", redis=True, postgres=True, trouble="gateway"
    ),
}
"""By name. Three nodes of both servers, as in a roll-out."""
