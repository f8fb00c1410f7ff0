"""One storm over one world."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.storm.judge import Finding, judge
from tests.storm.plan import TOPICS, Client, Post, Publisher
from tests.storm.publisher import Sender
from tests.storm.subscriber import Subscriber
from tests.storm.worlds import World

SETTLE_SECONDS = 60.0
PUBLISHERS = ("pub-a", "pub-b", "pub-c")


@dataclass(frozen=True, slots=True)
class Storm:
    """What to do.

    Args:
        seed: decides it all.
        subscribers: how many.
        seconds: how long they come and go.
        per_second: events of each publisher.
    """

    seed: int
    subscribers: int = 200
    seconds: float = 60.0
    per_second: float = 12.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    figures: dict[str, float]
    findings: Sequence[Finding]


async def rage(world: World, storm: Storm) -> Result:
    """Let clients come and go under publishers, and what is to be restarted be restarted in the middle."""
    began = time.monotonic()
    sender = Sender(world.urls, world.key, repeats_unanswered=world.repeats_unanswered)
    clients = [
        Subscriber(Client(storm.seed, number), world.urls, lambda event: sender.answered.get(event, 0.0))
        for number in range(storm.subscribers)
    ]
    weather = asyncio.Event()
    running = [asyncio.create_task(client.go(weather), name=client.plan.name) for client in clients]
    findings: list[Finding] = []
    try:
        # Nobody can be told what it missed before it got its first event.
        findings += await _all(running, [client.is_open() for client in clients], "did not open")
        findings += await _reaches_all(sender, clients, running, "first-1")
        if not findings:
            weather.set()
            await _publish(sender, storm, world, running)
            weather.clear()
            findings += await _reaches_all(sender, clients, running, "last-1")
            # Whatever is written twice comes before what is published now.
            findings += await _reaches_all(sender, clients, running, "last-2")
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await sender.close()
    findings += [Finding("fault", fault) for fault in sender.faults]
    findings += judge(sender.publications, [client.record for client in clients])
    seen = sum(len(client.record.seen) for client in clients)
    figures = {
        "subscribers": len(clients),
        "published": sum(publication.accepted for publication in sender.publications),
        "refused": sender.refused,
        "unanswered": sender.unanswered,
        "delivered": seen,
        "connections": sum(client.connections for client in clients),
        "connections_refused": sum(client.refused for client in clients),
        "caught_up": sum(client.caught_up for client in clients),
        "seconds": round(time.monotonic() - began, 1),
    }
    return Result(figures, findings)


async def _publish(sender: Sender, storm: Storm, world: World, running: Sequence[asyncio.Task[None]]) -> None:
    over = asyncio.Event()
    plans = [Publisher(storm.seed, name, storm.per_second) for name in PUBLISHERS]
    publishing = [asyncio.create_task(sender.go(plan, over)) for plan in plans]
    try:
        await asyncio.wait(running, timeout=storm.seconds / 2, return_when=asyncio.FIRST_COMPLETED)
        await world.strike()
        await asyncio.wait(running, timeout=storm.seconds / 2, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.set()
        await asyncio.gather(*publishing)


async def _reaches_all(
    sender: Sender, clients: Sequence[Subscriber], running: Sequence[asyncio.Task[None]], event: str
) -> list[Finding]:
    await sender.publish(Post(event, TOPICS, 0, 0))
    return await _all(running, [client.sees(event) for client in clients], f"did not see {event}")


async def _all(running: Sequence[asyncio.Task[None]], waits: list[object], what: str) -> list[Finding]:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := deadline - time.monotonic()) > 0 and not all(task.done() for task in tasks):
        pending = [task for task in tasks if not task.done()]
        await asyncio.wait([*pending, *running], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if any(task.done() for task in running):
            break
    findings = [
        Finding("late", f"{client.get_name()} {what} in {SETTLE_SECONDS:g} s")
        for client, task in zip(running, tasks, strict=True)
        if not task.done()
    ]
    findings += [
        Finding("broken off", f"{client.get_name()}: {client.exception()!r}")
        for client in running
        if client.done() and not client.cancelled()
    ]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return findings
