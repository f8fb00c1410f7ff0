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
from tests.chaos.plan import Fault, Run
from tests.chaos.stores import SentinelStore
from tests.chaos.world import NotWell, World, wait_until_nothing

GONE_SECONDS = 2.0
"""After the lease of a dead node, within which its topics must be gone."""

FAILOVER_SECONDS = 20.0
DEMOTION_SECONDS = 8.0
BEHIND_SECONDS = 0.4
"""For which a replica has taken nothing of its primary when that dies; the sentinels must not notice before."""


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
        """When those nodes may have counted as dead.

        Args:
            until: a lease after they were seen to be well: one that was not renewed in the fault may end only then.
        """
        return [Silence(node, since, until) for node, since in self.doubtful.items()]


async def inflict(world: World, run: Run, own_topics: dict[int, str], probes: dict[int, Source]) -> Outcome:
    """Do to *world* what *run* says; returns when that is over, not when the gateway has recovered.

    Args:
        world: whose hosts, nodes and Redis.
        run: the plan.
        own_topics: a topic for each node that only it has subscribers of.
        probes: a publisher for each node.

    Raises:
        NotWell: The faults could not be made.
    """
    outcome = Outcome(time.monotonic())
    try:
        async with asyncio.TaskGroup() as group:
            for fault in run.faults:
                group.create_task(_inflict(world, fault, outcome, own_topics, probes))
    except ExceptionGroup as group:
        raise NotWell(f"the faults could not be made: {group.exceptions!r}") from group
    return outcome


async def _inflict(
    world: World, fault: Fault, outcome: Outcome, own_topics: dict[int, str], probes: dict[int, Source]
) -> None:
    await asyncio.sleep(fault.wait)
    if fault.ends_leases:
        # A lease is renewed three times in its length.
        may_end = time.monotonic() + world.ttl * 0.5
        outcome.doubtful |= {world.nodes[number].name: may_end for number in fault.nodes}
    match fault.cause:
        case "cut":
            await _cut(world, fault)
        case "kill":
            await _kill(world, fault, outcome, own_topics[fault.nodes[0]], probes)
        case "stall":
            async with _stalled(world, fault.nodes[0]):
                await asyncio.sleep(fault.seconds)
        case "restart":
            await _restart_empty(world, fault)
        case "freeze":
            world.store.primary.freeze()
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                world.store.primary.thaw()
        case _:
            await _fail_over(world, fault)


async def _cut(world: World, fault: Fault) -> None:
    cut: list[int] = []
    try:
        for number in fault.nodes:
            cut.append(number)
            await asyncio.to_thread(world.hosts.cut, number, fault.how)
        await asyncio.sleep(fault.seconds)
    finally:
        for number in cut:
            world.hosts.heal(number, fault.how)


async def _kill(world: World, fault: Fault, outcome: Outcome, topic: str, probes: dict[int, Source]) -> None:
    node = world.nodes[fault.nodes[0]]
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
    await node.start(fault.server)


@asynccontextmanager
async def _stalled(world: World, number: int) -> AsyncIterator[None]:
    node = world.nodes[number]
    node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.signal(signal.SIGCONT)


async def _restart_empty(world: World, fault: Fault) -> None:
    # On a busy machine it may not be back when the next restart is due.
    async with world.restarting:
        world.store.primary.kill()
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            await asyncio.to_thread(world.store.primary.start)


async def _fail_over(world: World, fault: Fault) -> None:
    store = world.store
    assert isinstance(store, SentinelStore)
    old = store.primary
    match fault.how:
        case "frozen":
            old.freeze()
        case "ordered":
            await asyncio.to_thread(store.fail_over)
        case "killed, replica behind":
            await asyncio.to_thread(store.leave_replica_behind)
            await asyncio.sleep(BEHIND_SECONDS)
            old.kill()
        case _:
            old.kill()
    try:
        await asyncio.to_thread(store.wait_for_failover, FAILOVER_SECONDS)
    finally:
        if fault.how == "frozen":
            old.thaw()
    await asyncio.to_thread(store.wait_for_demotion, DEMOTION_SECONDS)
