"""What keeping events costs a publisher: publishes a second for each store of history.

``python -m benchmarks.stores [STORE ...]`` prints a line for each store, one at a time and 32 in flight.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import aiohttp
from tests.gateway import RunningGateway, migrate
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer

SECONDS = 4.0
IN_FLIGHT = (1, 32)
DATA = b"x" * 200
Settings = Mapping[str, object]


async def load(gateway: RunningGateway, in_flight: int) -> tuple[float, float]:
    """Publish for `SECONDS`; returns publishes a second, and the median answer's time in milliseconds."""
    waited: list[float] = []
    end = time.monotonic() + SECONDS
    headers = {"authorization": f"Bearer {gateway.key}", "x-sse-topic": "kept"}

    async def publish(session: aiohttp.ClientSession, publisher: int) -> None:
        number = 0
        while (began := time.monotonic()) < end:
            ids = {"x-sse-id": f"{in_flight}-{publisher}-{number}"}
            async with session.post(f"{gateway.url}/publish", data=DATA, headers=headers | ids) as response:
                response.raise_for_status()
            waited.append(time.monotonic() - began)
            number += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(publish(session, publisher) for publisher in range(in_flight)))
    return len(waited) / SECONDS, statistics.median(waited) * 1000


async def ready(gateway: RunningGateway) -> None:
    """Wait until it can deliver."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{gateway.url}/ready") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.1)


@contextmanager
def memory() -> Iterator[Settings]:
    """The process's own memory."""
    yield {"history_store": "memory"}


@contextmanager
def redis() -> Iterator[Settings]:
    """A Redis that saves nothing."""
    with RedisServer() as server:
        yield {"history_store": "redis", "redis_url": server.url}


@contextmanager
def sqlite() -> Iterator[Settings]:
    """A file on the disk of temporary files."""
    with tempfile.TemporaryDirectory(prefix="stores-") as folder:
        url = f"sqlite:///{Path(folder) / 'history.sqlite3'}"
        migrate(url)
        yield {"history_store": "database", "database_url": url}


@contextmanager
def postgres() -> Iterator[Settings]:
    """A PostgreSQL beside the gateway, as it is configured by itself."""
    with PostgresServer() as server:
        migrate(server.url)
        yield {"history_store": "database", "database_url": server.url}


STORES: dict[str, Callable[[], AbstractContextManager[Settings]]] = {
    "memory": memory,
    "redis": redis,
    "sqlite": sqlite,
    "postgres": postgres,
}


def main(names: Sequence[str]) -> None:
    """Measure the stores that are named, or all."""
    for name in names or STORES:
        with ExitStack() as stack:
            settings = stack.enter_context(STORES[name]())
            gateway = RunningGateway("uvicorn", history="kept=10000", **settings)  # type: ignore[arg-type]
            stack.enter_context(gateway)
            asyncio.run(ready(gateway))
            for in_flight in IN_FLIGHT:
                rate, median = asyncio.run(load(gateway, in_flight))
                print(f"{name:9} {in_flight:3} in flight: {rate:6.0f}/s, median {median:.1f} ms", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
