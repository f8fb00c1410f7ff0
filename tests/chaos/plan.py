"""What happens in each run, from a seed: the same seed plans the same runs. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.chaos.hosts import CUTS, NODES

SERVERS = ("daphne", "uvicorn")
KINDS = (
    "link cut",
    "node killed",
    "node stalled, shorter than its lease",
    "node stalled, longer than its lease",
    "Redis restarted empty",
    "Redis frozen",
    "failover",
    "node away while Redis fails",
)
BEHIND = "killed, replica behind"
FAILOVERS = ("killed", "frozen", "ordered", BEHIND)
AS_LONG_AS_KNOWN = 0.7
"""Share of a lease for which a node may be late after an empty restart and is still waited for, with some left."""

Cause = Literal["cut", "kill", "stall", "restart", "freeze", "failover"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        cause: what.
        nodes: that it hits.
        how: of ``CUTS`` or ``FAILOVERS``, else empty.
        wait: seconds from the beginning of the faults to this one.
        seconds: how long it lasts; for a Redis that restarts, how long it is away.
        ends_leases: whether the leases of these nodes may run out.
        server: under which a killed node comes back.
    """

    cause: Cause
    nodes: tuple[int, ...] = ()
    how: str = ""
    wait: float = 0.0
    seconds: float = 0.0
    ends_leases: bool = False
    server: str = ""

    def describe(self) -> str:
        """The fault in a few words."""
        hit = f" node {' and '.join(map(str, self.nodes))}" if self.nodes else " Redis"
        how = f" ({self.how})" if self.how else ""
        lasts = f" for {self.seconds:.2f} s" if self.cause not in ("kill", "failover") else ""
        after = f" after {self.wait:.2f} s" if self.wait else ""
        return f"{self.cause}{hit}{how}{lasts}{after}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Args:
        number: from 0.
        seed: of all that is random in it.
        kind: one of ``KINDS``.
        faults: that happen at once.
        publishers: nodes that are published to.
        before: seconds of publishing before the faults.
        after: seconds of publishing after all is well again.
    """

    number: int
    seed: str
    kind: str
    faults: tuple[Fault, ...]
    publishers: tuple[int, int]
    before: float
    after: float

    @property
    def needs_sentinels(self) -> bool:
        """Whether only a Redis behind sentinels can have these faults."""
        return any(fault.cause == "failover" for fault in self.faults)

    @property
    def needs_one_server(self) -> bool:
        """Whether only a Redis without sentinels can have them: they would choose another primary."""
        return any(fault.cause in ("restart", "freeze") for fault in self.faults)

    def describe(self) -> str:
        """The run in one line."""
        return f"run {self.number}: {self.kind} [{'; '.join(fault.describe() for fault in self.faults)}]"


def plan(seed: int, runs: int, ttl: float) -> list[Run]:
    """All runs of a seed.

    Args:
        seed: any number.
        runs: how many; every kind of fault has its share.
        ttl: seconds of a node's lease.
    """
    dice = random.Random(seed)
    kinds = list(itertools.islice(_kinds(dice), runs))
    return [_run(number, f"{seed}/{number}", kind, ttl) for number, kind in enumerate(kinds)]


def _kinds(dice: random.Random) -> Iterator[str]:
    while True:
        yield from dice.sample(KINDS, len(KINDS))


def _run(number: int, seed: str, kind: str, ttl: float) -> Run:
    dice = random.Random(seed)
    first, second = dice.sample(NODES, 2)
    return Run(
        number=number,
        seed=seed,
        kind=kind,
        faults=_faults(kind, dice, ttl),
        publishers=(first, second),
        before=dice.uniform(0.3, 0.8),
        after=dice.uniform(0.3, 0.6),
    )


def _faults(kind: str, dice: random.Random, ttl: float) -> tuple[Fault, ...]:
    node = (dice.choice(NODES),)
    match kind:
        case "link cut":
            nodes = tuple(sorted(dice.sample(NODES, dice.choices((1, 2, 3), (6, 2, 2))[0])))
            # When none reaches Redis, no lease proves anything, and all are given their time back.
            return (_cut(dice, nodes, dice.uniform(0.2, 2.5) * ttl, ends_leases=len(nodes) < len(NODES)),)
        case "node killed":
            return (Fault("kill", node, server=dice.choice(SERVERS)),)
        case "node stalled, shorter than its lease":
            # A lease is renewed three times in its length: two thirds of it are left at least.
            return (Fault("stall", node, seconds=dice.uniform(0.1, 0.5) * ttl),)
        case "node stalled, longer than its lease":
            return (Fault("stall", node, seconds=dice.uniform(1.2, 2.5) * ttl, ends_leases=True),)
        case "Redis restarted empty":
            return _restarts(dice, node, ttl)
        case "Redis frozen":
            return (Fault("freeze", seconds=dice.uniform(0.1, 2.5) * ttl),)
        case "failover":
            how = dice.choice(FAILOVERS)
            if how != BEHIND or dice.random() < 0.3:
                return (Fault("failover", how=how),)
            # A node misses the same events as the replica, which then says that it missed none.
            seconds = dice.uniform(0.5, 1.5) * ttl
            return Fault("failover", how=how), _cut(dice, node, seconds, ends_leases=True, wait=dice.uniform(0.05, 0.4))
        case _:
            return _both(dice, node, ttl)


def _restarts(dice: random.Random, node: tuple[int, ...], ttl: float) -> tuple[Fault, ...]:
    away = dice.choice((0.0, dice.uniform(0.0, 1.0), dice.uniform(1.0, 2.5) * ttl))
    faults = [Fault("restart", seconds=away)]
    match dice.choice(("once", "twice", "late")):
        case "twice":
            faults.append(Fault("restart", wait=away + dice.uniform(0.05, 1.5), seconds=dice.uniform(0.0, 0.5)))
        case "late":
            # One node cannot register for less than the time that the others wait for a node that they knew.
            late = away + dice.uniform(0.1, AS_LONG_AS_KNOWN) * ttl
            faults.append(Fault("stall", node, seconds=late))
    return tuple(faults)


def _both(dice: random.Random, node: tuple[int, ...], ttl: float) -> tuple[Fault, ...]:
    seconds = dice.uniform(0.3, 2.5) * ttl
    # Which begins first decides who misses what.
    wait = dice.choice((0.0, dice.uniform(0.0, 0.5)))
    later = 0.0 if wait else dice.uniform(0.0, seconds)
    if dice.random() < 0.5:
        away = _cut(dice, node, seconds, ends_leases=True, wait=wait)
    else:
        away = Fault("stall", node, wait=wait, seconds=seconds, ends_leases=True)
    match dice.choice(("restart", "freeze", "failover")):
        case "restart":
            return away, Fault("restart", wait=later, seconds=dice.uniform(0.0, 1.0) * ttl)
        case "freeze":
            return away, Fault("freeze", wait=later, seconds=dice.uniform(0.2, 1.5) * ttl)
        case _:
            # Not an ordered one: the old primary goes on for a while then, and a node that comes back in that time
            # finds the new one while the others are still with the old. To prevent that is Redis' part.
            how = dice.choice([how for how in FAILOVERS if how != "ordered"])
            return away, Fault("failover", wait=later, how=how)


def _cut(dice: random.Random, nodes: tuple[int, ...], seconds: float, *, ends_leases: bool, wait: float = 0.0) -> Fault:
    return Fault("cut", nodes, dice.choice(CUTS), wait=wait, seconds=seconds, ends_leases=ends_leases)
