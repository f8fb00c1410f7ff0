"""What happens in each run, from a seed: the same seed plans the same runs. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

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
)
FAILOVERS = ("killed", "frozen", "ordered")


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Args:
        number: from 0.
        seed: of all that is random in it.
        kind: one of ``KINDS``.
        nodes: that the fault hits.
        how: of ``CUTS`` or ``FAILOVERS``, else empty.
        seconds: how long the fault lasts; for a Redis that restarts, how long it is away.
        late: for a Redis that restarts empty: seconds after that for which the first of ``nodes`` stays stalled.
        publishers: nodes that are published to.
        server: under which a killed node comes back.
        before: seconds of publishing before the fault.
        after: seconds of publishing after it is over.
    """

    number: int
    seed: str
    kind: str
    nodes: tuple[int, ...]
    how: str
    seconds: float
    late: float
    publishers: tuple[int, int]
    server: str
    before: float
    after: float

    @property
    def needs_sentinels(self) -> bool:
        """Whether only a Redis behind sentinels can have this fault."""
        return self.kind == "failover"

    @property
    def needs_one_server(self) -> bool:
        """Whether only a Redis without sentinels can have this fault: they would choose another primary."""
        return self.kind in ("Redis restarted empty", "Redis frozen")

    def describe(self) -> str:
        """The run in one line."""
        hit = f" of node {', '.join(map(str, self.nodes))}" if self.nodes else ""
        late = f", node {self.nodes[0]} back {self.late:.2f} s later" if self.late else ""
        return f"run {self.number}: {self.kind}{hit}{f' ({self.how})' if self.how else ''}, {self.seconds:.2f} s{late}"


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
    nodes: tuple[int, ...] = (dice.choice(NODES),)
    how, late = "", 0.0
    seconds = 0.0
    match kind:
        case "link cut":
            nodes = tuple(sorted(dice.sample(NODES, dice.choices((1, 2, 3), (6, 2, 2))[0])))
            how = dice.choice(CUTS)
            seconds = dice.uniform(0.2, 2.5) * ttl
        case "node stalled, shorter than its lease":
            # A lease is renewed three times in its length: two thirds of it are left at least.
            seconds = dice.uniform(0.1, 0.5) * ttl
        case "node stalled, longer than its lease":
            seconds = dice.uniform(1.2, 2.5) * ttl
        case "Redis restarted empty":
            seconds = dice.choice((0.0, dice.uniform(0.0, 1.0), dice.uniform(1.0, 2.5) * ttl))
            # For less than the time that the others wait for a node that they knew.
            late = dice.choice((0.0, dice.uniform(0.1, 0.7) * ttl))
            nodes = nodes if late else ()
        case "Redis frozen":
            nodes = ()
            seconds = dice.uniform(0.1, 2.5) * ttl
        case "failover":
            nodes = ()
            how = dice.choice(FAILOVERS)
        case _:
            pass
    first, second = dice.sample(NODES, 2)
    return Run(
        number=number,
        seed=seed,
        kind=kind,
        nodes=nodes,
        how=how,
        seconds=seconds,
        late=late,
        publishers=(first, second),
        server=dice.choice(SERVERS),
        before=dice.uniform(0.3, 0.8),
        after=dice.uniform(0.3, 0.6),
    )
