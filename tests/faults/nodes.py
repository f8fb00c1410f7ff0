"""Several gateways on one Redis, for the tests that ask whether they are one."""

from __future__ import annotations

import asyncio

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.subject import Subject
from tests.redis_server import RedisServer

KEY = "shared-key-of-the-test"

READY_SECONDS = 60.0
"""The first node on a fresh Redis waits for a TTL and a second."""


async def is_ready(node: Subject) -> bool:
    """Whether a node says that it can deliver."""
    return (await node.http.get("/ready")).status_code == 200


async def start_nodes(start: Start, redis: RedisServer, **settings: object) -> list[Subject]:
    """Three nodes, called a, b and c, that share a key; all of them are ready."""
    started = await asyncio.gather(
        *[start(redis_url=redis.url, node_name=name, api_keys=KEY, **settings) for name in ("a", "b", "c")]
    )
    for node in started:
        node.key = KEY
        node.http.headers["authorization"] = f"Bearer {KEY}"
        await eventually(lambda node=node: is_ready(node), within=READY_SECONDS)  # type: ignore[misc]
    return list(started)
