"""The faults themselves. Each leaves the world whole again, also when it is broken off."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.chaos.clients import Source
from tests.chaos.judge import Finding, Silence
from tests.chaos.plan import Run
from tests.chaos.stores import SentinelStore, wait_for
from tests.chaos.world import NotWell, World, wait_until_nothing

GONE_SECONDS = 2.0
"""After the lease of a dead node, within which its topics must be gone."""

FAILOVER_SECONDS = 20.0


@dataclass(slots=True)
class Outcome:
    """What a fault did.

    Args:
        began: when it began.
        doubtful: nodes that may have counted as dead, with the moment from which on.
        findings: promises that it broke by itself.
        gone_seconds: from a node's death until its topics were gone.
    """

    began: float
    doubtful: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    gone_seconds: float | None = None

    def silences(self, until: float) -> list[Silence]:
        """When those nodes may have counted as dead, until they were seen to be well."""
        return [Silence(node, since, until) for node, since in self.doubtful.items()]


async def inflict(world: World, run: Run, own_topics: dict[int, str], probes: dict[int, Source]) -> Outcome:
    """Do to *world* what *run* says; returns when that is over, not when the gateway has recovered.

    Args:
        world: whose hosts, nodes and Redis.
        run: the plan.
        own_topics: a topic for each node that only it has subscribers of.
        probes: a publisher for each node.
    """
    outcome = Outcome(time.monotonic())
    # A lease is renewed three times in its length.
    may_end = outcome.began + world.ttl * 0.5
    match run.kind:
        case "link cut":
            if len(run.nodes) < len(world.nodes):
                outcome.doubtful = {world.nodes[number].name: may_end for number in run.nodes}
            await _cut(world, run)
        case "node killed":
            await _kill(world, run, outcome, own_topics[run.nodes[0]], probes)
        case "node stalled, shorter than its lease":
            async with _stalled(world, run.nodes[0]):
                await asyncio.sleep(run.seconds)
        case "node stalled, longer than its lease":
            outcome.doubtful = {world.nodes[run.nodes[0]].name: may_end}
            async with _stalled(world, run.nodes[0]):
                await asyncio.sleep(run.seconds)
        case "Redis restarted empty":
            await _restart_empty(world, run)
        case "Redis frozen":
            world.store.primary.freeze()
            try:
                await asyncio.sleep(run.seconds)
            finally:
                world.store.primary.thaw()
        case _:
            await _fail_over(world, run)
    return outcome


async def _cut(world: World, run: Run) -> None:
    cut: list[int] = []
    try:
        for number in run.nodes:
            cut.append(number)
            await asyncio.to_thread(world.hosts.cut, number, run.how)
        await asyncio.sleep(run.seconds)
    finally:
        for number in cut:
            world.hosts.heal(number, run.how)


async def _kill(world: World, run: Run, outcome: Outcome, topic: str, probes: dict[int, Source]) -> None:
    node = world.nodes[run.nodes[0]]
    others = [each for each in world.nodes.values() if each is not node]
    await node.kill()

    async def still_there() -> str:
        for other in others:
            publication = await probes[other.number].publish((topic,))
            if publication.status != 204:
                return f"{other.name} answers a publish to its topic with {publication.status}"
            try:
                items = (await world.get(other, "/topics", limit="500"))["items"]
                nodes = (await world.get(other, "/nodes"))["items"]
            except httpx.HTTPError as error:
                return f"{other.name}: {error!r}"
            if any(item["name"] == topic or node.name in item["nodes"] for item in items):
                return f"{other.name} lists its topics"
            if any(item["name"] == node.name for item in nodes):
                return f"{other.name} lists it"
        return ""

    try:
        await wait_until_nothing(still_there, world.ttl + GONE_SECONDS)
        outcome.gone_seconds = time.monotonic() - outcome.began
    except NotWell as error:
        outcome.findings.append(Finding("dead node", f"{node.name}: {error}"))
    await node.start(run.server)


@asynccontextmanager
async def _stalled(world: World, number: int) -> AsyncIterator[None]:
    node = world.nodes[number]
    node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.signal(signal.SIGCONT)


async def _restart_empty(world: World, run: Run) -> None:
    async def restart() -> None:
        world.store.primary.kill()
        try:
            await asyncio.sleep(run.seconds)
        finally:
            await asyncio.to_thread(world.store.primary.start)

    if not run.late:
        await restart()
        return
    async with _stalled(world, run.nodes[0]):
        await restart()
        await asyncio.sleep(run.late)


async def _fail_over(world: World, run: Run) -> None:
    store = world.store
    assert isinstance(store, SentinelStore)
    old = store.primary
    match run.how:
        case "killed":
            old.kill()
        case "frozen":
            old.freeze()
        case _:
            await asyncio.to_thread(store.fail_over)
    try:
        await asyncio.to_thread(wait_for, store.promoted, FAILOVER_SECONDS)
    finally:
        if run.how == "frozen":
            old.thaw()
