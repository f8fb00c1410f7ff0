"""One run: subscribers on all nodes, publishers on two of them, a fault, and the judgement."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.clients import NotOpened, Source, Watcher
from tests.chaos.faults import Outcome, inflict
from tests.chaos.judge import Finding, Publication, judge
from tests.chaos.plan import Run
from tests.chaos.world import KEY, NotWell, World

RECOVER_SECONDS = 15.0
FLUSH_SECONDS = 10.0
SIGHT_SECONDS = 5.0
"""For which an event that ends a run is waited for before another is sent."""

PAUSE_SECONDS = 0.025
"""Mean time between two events of a source."""

SOURCES_PER_NODE = 2
FORMS = ("json", "ws", "sse")


@dataclass(slots=True)
class Result:
    """What a run came to.

    Args:
        run: its plan.
        servers: under which each node ran at its start.
        figures: counts of what was published, delivered, refused, dropped, told.
        findings: broken promises.
        publications: all that was published.
        watchers: all that subscribed.
        began: when the fault began.
        recover_seconds: from the fault's end until all was well.
        gone_seconds: from a node's death until its topics were gone.
        lag_seconds: by how much this process itself was late at worst.
    """

    run: Run
    servers: list[str]
    figures: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    began: float = 0.0
    recover_seconds: float | None = None
    gone_seconds: float | None = None
    lag_seconds: float = 0.0


class _Stage:
    """Names, publishers and subscribers of one run."""

    def __init__(self, world: World, run: Run, result: Result) -> None:
        self.world, self.run, self.result = world, run, result
        prefix = f"run{run.number}."
        self.shared, self.rare, self.never = f"{prefix}shared", f"{prefix}rare", f"{prefix}never"
        self.own = {number: f"{prefix}only-n{number}" for number in world.nodes}
        self.probes = {number: self.source(f"probe{number}", number) for number in world.nodes}
        self.main: list[Watcher] = []
        self.stop = asyncio.Event()

    def source(self, name: str, number: int) -> Source:
        node = self.world.nodes[number]
        return Source(f"{self.run.number}-{name}", node.name, node.url, KEY, self.result.publications)

    def watcher(self, name: str, number: int, form: str) -> Watcher:
        node = self.world.nodes[number]
        watcher = Watcher(name, node.name, node.url, form)
        self.result.watchers.append(watcher)
        return watcher

    def choose(self, dice: random.Random) -> tuple[str, ...]:
        """Topics for the next event."""
        first, second = dice.sample(sorted(self.own), 2)
        lists = [
            (self.shared,),
            (self.own[first],),
            (self.shared, self.own[first]),
            (self.own[first], self.own[second]),
            (self.rare,),
            (self.never,),
        ]
        (chosen,) = dice.choices(lists, (45, 20, 10, 5, 15, 5))
        return chosen

    async def open_main(self) -> None:
        for number in self.world.nodes:
            for form in FORMS:
                watcher = self.watcher(f"{form}-{number}", number, form)
                # Without JSON an SSE client cannot tell topics apart, and has one.
                topics = (self.shared,) if form == "sse" else (self.shared, self.own[number])
                await watcher.open(topics)
                self.main.append(watcher)

    def holders(self) -> dict[str, tuple[int, str]]:
        """Connections and node of each node's own topic, as they must be listed."""
        counts = Counter(
            number
            for number, topic in self.own.items()
            for watcher in self.main
            if topic in watcher.record.held and watcher.record.ended is None
        )
        return {self.own[number]: (count, self.world.nodes[number].name) for number, count in counts.items()}

    async def come_and_go(self, name: str, form: str, dice: random.Random) -> None:
        """Subscribe, stay for a while, and leave, again and again."""
        visit = 0
        while not self.stop.is_set():
            visit += 1
            number = dice.choice(sorted(self.world.nodes))
            watcher = self.watcher(f"{name}.{visit}", number, form)
            try:
                if form == "ws":
                    await watcher.open((self.shared,))
                    await watcher.subscribe(self.rare)
                else:
                    await watcher.open((self.shared, self.rare))
            except NotOpened:
                self.result.watchers.remove(watcher)
                self.result.figures["subscribers_refused"] += 1
                await asyncio.sleep(0.1)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), dice.uniform(0.1, 1.2))
            await self.leave(watcher, self.source(f"{name}.{visit}", dice.choice(sorted(self.world.nodes))))
            await asyncio.sleep(dice.uniform(0.0, 0.2))

    async def leave(self, watcher: Watcher, source: Source) -> None:
        """Have a subscriber leave when it has seen all that was answered until now."""
        record = watcher.record
        until = time.monotonic()
        deadline = until + FLUSH_SECONDS
        seen = False
        # An event of all its topics comes after everything that came before in any of them.
        while not seen and record.ended is None and time.monotonic() < deadline:
            marker = await source.publish(tuple(record.held))
            seen = marker.status == 200 and await watcher.sees(marker.id, 2.0)
            if not seen:
                await asyncio.sleep(0.1)
        await source.close()
        record.leave(until if seen else record.seen[-1].at - FLUSH_SECONDS if record.seen else 0.0)
        await watcher.close()

    async def flush(self) -> None:
        """See to it that nothing is on its way to a subscriber any more."""
        number = next(iter(self.world.nodes))
        topics = (self.shared, *self.own.values())
        deadline = time.monotonic() + FLUSH_SECONDS
        marker = await self.probes[number].publish(topics)
        # One that was lost in another failover, as a busy machine's sentinels may make, is told as a gap.
        while marker.status != 200 or not await self._all_see(marker.id, SIGHT_SECONDS):
            if time.monotonic() > deadline:
                what = "late" if marker.status == 200 else "not recovered"
                detail = f"the last publish, {marker.id}, is answered {marker.status} and does not reach all"
                self.result.findings.append(Finding(what, detail))
                return
            await asyncio.sleep(0.1)
            marker = await self.probes[number].publish(topics)

    async def _all_see(self, event: str, within: float) -> bool:
        waiting = [watcher.sees(event, within) for watcher in self.main if watcher.record.ended is None]
        return all(await asyncio.gather(*waiting))


async def perform(world: World, run: Run) -> Result:
    """Make one run in *world*, which must be well and empty.

    Raises:
        NotOpened: A subscriber was refused before the fault.
    """
    result = Result(run, [node.running.server for node in world.nodes.values() if node.running is not None])
    stage = _Stage(world, run, result)
    watch = asyncio.create_task(_watch_lag(result))
    tasks: list[asyncio.Task[None]] = []
    try:
        await stage.open_main()
        for number in run.publishers:
            for which in range(SOURCES_PER_NODE):
                dice = random.Random(f"{run.seed}/{number}/{which}")
                source = stage.source(f"n{number}.{which}", number)
                tasks.append(asyncio.create_task(source.run(stage.choose, dice, PAUSE_SECONDS, stage.stop)))
        for form in ("ws", "json"):
            dice = random.Random(f"{run.seed}/{form}")
            tasks.append(asyncio.create_task(stage.come_and_go(f"{form}-guest", form, dice)))
        await asyncio.sleep(run.before)
        outcome = await inflict(world, run, stage.own, stage.probes)
        result.began, result.gone_seconds = outcome.began, outcome.gone_seconds
        over = await _recover(stage, outcome)
        await asyncio.sleep(run.after)
        stage.stop.set()
        await asyncio.gather(*tasks)
        await stage.flush()
        await _conclude(stage, outcome, over)
    finally:
        watch.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(watch, *tasks, return_exceptions=True)
        await asyncio.gather(*[watcher.close() for watcher in result.watchers], return_exceptions=True)
        await asyncio.gather(*[probe.close() for probe in stage.probes.values()])
    return result


async def _recover(stage: _Stage, outcome: Outcome) -> float:
    result = stage.result
    result.findings += outcome.findings
    try:
        result.recover_seconds = await stage.world.well(RECOVER_SECONDS, stage.holders())
    except NotWell as error:
        result.findings.append(Finding("not recovered", str(error)))
    return time.monotonic()


async def _conclude(stage: _Stage, outcome: Outcome, over: float) -> None:
    result = stage.result
    for watcher in stage.main:
        await watcher.close()
    records = [watcher.record for watcher in result.watchers]
    result.findings += judge(
        result.publications, records, silences=outcome.silences(over + stage.world.ttl), never_held=stage.never
    )
    result.findings += [Finding("malformed", fault) for watcher in result.watchers for fault in watcher.faults]
    for node in stage.world.nodes.values():
        result.findings += [Finding("error logged", line[:2000]) for line in node.new_errors()]
    names = {200: "published", 204: "dropped", 503: "refused", None: "unanswered"}
    for publication in result.publications:
        result.figures[names.get(publication.status, "other")] += 1
    result.findings += [
        Finding("status", f"{each.id} was answered {each.status}")
        for each in result.publications
        if each.status not in names
    ]
    for record in records:
        result.figures["delivered"] += sum(seen.event is not None for seen in record.seen)
        result.figures["gaps"] += sum(seen.event is None for seen in record.seen)
        got = {seen.event for seen in record.seen}
        result.figures["told"] += sum(
            each.status == 200 and each.id not in got and bool(record.holds(each)) for each in result.publications
        )
        result.figures["connections_lost"] += record.ended is not None
    result.figures["subscribers"] += len(records)


async def _watch_lag(result: Result) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.05)
        result.lag_seconds = max(result.lag_seconds, time.monotonic() - began - 0.05)
