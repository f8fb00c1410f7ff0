"""Three gateways on three hosts and their Redis on a fourth, which are used for one run after the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import httpx

from tests.chaos.hosts import NODES, Host, Hosts
from tests.chaos.plan import SERVERS
from tests.chaos.stores import SentinelStore, Store
from tests.gateway import RunningGateway

PORT = 8080
"""The same on each host: nothing else runs there."""

KEY = "shared-key-of-the-chaos-runs"
POLL_SECONDS = 0.1


class NotWell(Exception):
    """The gateway did not become what it must be in time; the message says what is amiss."""


class Node:
    """One gateway and its host.

    Args:
        number: of the host.
        host: where it runs.
        settings: that all nodes share.
    """

    def __init__(self, number: int, host: Host, settings: dict[str, object]) -> None:
        self.number, self.host = number, host
        self.name = f"n{number}"
        self.url = f"http://{host.outer}:{PORT}"
        self.running: RunningGateway | None = None
        self._settings = settings
        self._errors_seen = 0

    async def start(self, server: str) -> None:
        """Start it under *server*, and return when it listens."""
        self._errors_seen = 0
        self.running = RunningGateway(
            server,
            bind=self.host.outer,
            port=PORT,
            inside=self.host.inside,
            node_name=self.name,
            api_keys=KEY,
            drain_seconds=1,
            **self._settings,  # type: ignore[arg-type]
        )
        starting = asyncio.create_task(asyncio.to_thread(self.running.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be told to stop; what it started is ended by `stop`.
            await asyncio.wait([starting])
            raise

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.running is not None
        os.kill(self.running.pid, number)

    async def kill(self) -> None:
        """End it at once (SIGKILL)."""
        assert self.running is not None
        self.signal(signal.SIGKILL)
        await asyncio.to_thread(self.running.wait)
        self.running.stop()

    def stop(self) -> str | None:
        """End it; returns what was wrong with its end."""
        if self.running is None:
            return None
        running, self.running = self.running, None
        with contextlib.suppress(Exception):
            os.kill(running.pid, signal.SIGCONT)
        try:
            code = running.stop()
        except Exception as error:  # noqa: BLE001 - it never came to be
            return repr(error)
        return None if code == 0 else f"{self.name} ended with {code}"

    def new_errors(self) -> list[str]:
        """What it has logged since the last call that should never be there."""
        if self.running is None:
            return []
        errors = self.running.errors
        new, self._errors_seen = errors[self._errors_seen :], len(errors)
        return [f"{self.name} logged {line}" for line in new]


class World:
    """The nodes and their Redis.

    Args:
        hosts: its hosts.
        store: its Redis, not started.
        ttl: seconds of a node's lease.
    """

    def __init__(self, hosts: Hosts, store: Store, ttl: float) -> None:
        self.hosts, self.store, self.ttl = hosts, store, ttl
        self.restarting = asyncio.Lock()
        settings: dict[str, object] = {"redis_url": store.url, "node_ttl_seconds": ttl}
        self.nodes = {number: Node(number, hosts.nodes[number], settings) for number in NODES}
        self.http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {KEY}"},
            trust_env=False,
            timeout=httpx.Timeout(5),
        )

    @property
    def with_sentinels(self) -> bool:
        """Whether its Redis has sentinels."""
        return isinstance(self.store, SentinelStore)

    async def start(self, dice: random.Random) -> None:
        """Start Redis and the nodes, each under a server by chance, both servers among them."""
        servers = [*SERVERS, dice.choice(SERVERS)]
        dice.shuffle(servers)
        await asyncio.to_thread(self.store.start)
        # One after the other: gateways that start at once on few processors keep each other from it.
        for node, server in zip(self.nodes.values(), servers, strict=True):
            await node.start(server)

    async def stop(self) -> list[str]:
        """End everything; returns what was wrong with how the nodes ended."""
        with ExitStack() as stack:
            stack.callback(self.store.stop)
            ends = [node.stop for node in self.nodes.values()]
            amiss = await asyncio.gather(*[asyncio.to_thread(end) for end in ends])
        await self.http.aclose()
        return [what for what in amiss if what]

    async def get(self, node: Node, path: str, **params: str) -> Any:
        """JSON of the admin API; raises httpx.HTTPError."""
        answer = await self.http.get(f"{node.url}/api/v1{path}", params=params)
        return answer.raise_for_status().json()

    async def well(self, within: float, topics: dict[str, tuple[int, str]]) -> float:
        """Wait until every node is ready, lists all nodes, and lists these topics; returns the seconds.

        Args:
            within: most seconds.
            topics: connections of each topic and the only node that holds them. Others may be listed, unless these
                are none: then no topic and no connection may be.

        Raises:
            NotWell: It is not so in time.
        """

        async def amiss() -> str:
            for node in self.nodes.values():
                try:
                    if reason := await self._amiss(node, topics):
                        return f"{node.name}: {reason}"
                except httpx.HTTPError as error:
                    return f"{node.name}: {error!r}"
            return ""

        return await wait_until_nothing(amiss, within)

    async def _amiss(self, node: Node, wanted: dict[str, tuple[int, str]]) -> str:
        ready = await self.http.get(f"{node.url}/ready")
        if ready.status_code != 200:
            return f"not ready: {ready.text}"
        names = Counter(item["name"] for item in (await self.get(node, "/nodes"))["items"])
        if names != Counter(each.name for each in self.nodes.values()):
            return f"lists the nodes {dict(names)}"
        items = (await self.get(node, "/topics", limit="500"))["items"]
        listed = {item["name"]: (item["connections"], ",".join(item["nodes"])) for item in items}
        if not wanted and (listed or (await self.get(node, "/connections"))["total"]):
            return f"lists the topics {listed}, or connections, though nobody is connected"
        if any(listed.get(name) != holders for name, holders in wanted.items()):
            return f"lists the topics {listed}, not {wanted}"
        return ""


async def wait_until_nothing(amiss: Callable[[], Awaitable[str]], within: float) -> float:
    """Wait until *amiss* says nothing; returns the seconds.

    Raises:
        NotWell: It still says something after *within* seconds.
    """
    began = time.monotonic()
    while reason := await amiss():
        if time.monotonic() - began > within:
            raise NotWell(f"after {within:g} s {reason}")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - began
