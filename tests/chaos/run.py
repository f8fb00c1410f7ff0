"""Let links, nodes and Redis fail under steady publishing: ``python -m tests.chaos.run [--seed N] [--runs N]``.

Three nodes, each on a host (network namespace) of its own, with Redis on a fourth. The seed is printed; it decides
what fails, where, how and for how long. Writes `test-results/chaos.json`. Exit code 0: every promise was kept; 1: some
were broken; 3: not run, for want of what the message names.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.clients import NotOpened
from tests.chaos.hosts import Hosts, client_host, hosts
from tests.chaos.judge import Finding
from tests.chaos.plan import KINDS, Run, plan
from tests.chaos.runner import Result, perform
from tests.chaos.stores import SentinelStore, Store
from tests.chaos.world import NotWell, World
from tests.faults.network import NotAllowed
from tests.gateway import ROOT, GatewayFailed
from tests.redis_server import BINARY
from tests.reporting.provenance import provenance

SUMMARY = ROOT / "test-results" / "chaos.json"
DETAILS = ROOT / "test-results" / "tmp" / "chaos"
NOT_RUN = 3
TTL_SECONDS = 1.5
RUN_SECONDS = 90.0
WELL_SECONDS = 15.0
FIGURES = (
    *("published", "delivered", "refused", "dropped", "unanswered", "gaps", "told"),
    *("subscribers", "subscribers_refused", "connections_lost"),
)


class Series:
    """Runs one after the other in one world.

    Args:
        name: of the world.
        hosts: its hosts.
        with_sentinels: whether its Redis has sentinels.
        seed: of what is not planned for a single run.
        starting: held while nodes start.
    """

    def __init__(self, name: str, hosts: Hosts, *, with_sentinels: bool, seed: int, starting: asyncio.Lock) -> None:
        self.name = name
        self.results: list[Result] = []
        self.amiss: list[str] = []
        """What was wrong outside the runs."""
        self._hosts = hosts
        self._with_sentinels = with_sentinels
        self._dice = random.Random(f"{seed}/{name}")
        self._starting = starting
        self._world: World | None = None

    async def go(self, runs: Sequence[Run]) -> None:
        """Make the runs; a world that is not well afterwards is made anew."""
        try:
            for run in runs:
                await self._perform(run)
        finally:
            await self._end_world()

    async def _perform(self, run: Run) -> None:
        began = time.monotonic()
        lines: dict[str, int] = {}
        try:
            world = await self._ready_world(run)
            lines = {node.name: len(node.running.lines) for node in world.nodes.values() if node.running}
            async with asyncio.timeout(RUN_SECONDS):
                result = await perform(world, run)
        except (GatewayFailed, NotOpened, NotWell, TimeoutError) as error:
            self._report(Result(run, [], findings=[Finding("broken off", repr(error))]), began, lines)
            await self._end_world()
        else:
            self._report(result, began, lines)

    async def _ready_world(self, run: Run) -> World:
        if self._world is None:
            store = (SentinelStore if self._with_sentinels else Store)(self._hosts.redis)
            self._world = World(self._hosts, store, TTL_SECONDS)
            async with self._starting:
                await self._world.start(self._dice)
        await self._world.well(WELL_SECONDS, {})
        if run.needs_sentinels:
            await asyncio.to_thread(self._world.store.settle)
        return self._world

    async def _end_world(self) -> None:
        world, self._world = self._world, None
        if world is not None:
            self.amiss += await world.stop()

    def _report(self, result: Result, began: float, lines: dict[str, int]) -> None:
        self.results.append(result)
        figures = ", ".join(f"{result.figures[name]} {name}" for name in FIGURES if result.figures[name])
        well = f", well {result.recover_seconds:.1f} s after" if result.recover_seconds is not None else ""
        took, lag = time.monotonic() - began, result.lag_seconds
        print(f"{result.run.describe()}: {figures}{well} ({took:.1f} s, lag {lag:.2f} s)", flush=True)
        if not result.findings:
            return
        for finding in result.findings[:10]:
            print(f"  FAILED {finding.what}: {finding.detail}", flush=True)
        DETAILS.mkdir(parents=True, exist_ok=True)
        path = DETAILS / f"run-{result.run.number}.json"
        path.write_text(json.dumps(self._details(result, lines), indent=1, default=str))
        print(f"  {len(result.findings)} findings, all in {path.relative_to(ROOT)}", flush=True)

    def _details(self, result: Result, lines: dict[str, int]) -> dict[str, Any]:
        nodes = self._world.nodes.values() if self._world else ()
        return {
            "run": asdict(result.run),
            "servers": result.servers,
            "fault_began": result.began,
            "lag_seconds": result.lag_seconds,
            "findings": [asdict(finding) for finding in result.findings],
            "publications": [asdict(each) for each in sorted(result.publications, key=lambda each: each.sent)],
            "subscribers": [asdict(watcher.record) for watcher in result.watchers],
            "logs": {node.name: node.running.lines[lines.get(node.name, 0) :] for node in nodes if node.running},
        }


async def make_runs(series: Sequence[Series], runs: Sequence[Run]) -> None:
    """Share the runs out among the worlds, and make them."""
    shares = share_out(runs, len(series))
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    async with asyncio.TaskGroup() as group:
        for one, share in zip(series, shares, strict=True):
            group.create_task(one.go(share))


def share_out(runs: Sequence[Run], worlds: int) -> list[list[Run]]:
    """The runs of the world without sentinels, and of that with them when there are two."""
    if worlds == 1:
        return [list(runs)]
    shares: list[list[Run]] = [[], []]
    weights = [0.0, 0.0]
    anywhere = [run for run in runs if not run.needs_sentinels and not run.needs_one_server]
    for run in (*(run for run in runs if run not in anywhere), *anywhere):
        number = weights.index(min(weights)) if run in anywhere else int(run.needs_sentinels)
        shares[number].append(run)
        # A failover takes about twice as long, with the time until the sentinels are ready for the next.
        weights[number] += 2 if run.needs_sentinels else 1
    return [sorted(share, key=lambda run: run.number) for share in shares]


def summarize(seed: int, results: Sequence[Result], amiss: Sequence[str], seconds: float) -> dict[str, Any]:
    """What is kept of all runs."""
    kinds: dict[str, Any] = {}
    for kind in KINDS:
        of_kind = [result for result in results if result.run.kind == kind]
        figures: Counter[str] = Counter()
        for result in of_kind:
            figures += result.figures
        recovered = [result.recover_seconds for result in of_kind if result.recover_seconds is not None]
        gone = [result.gone_seconds for result in of_kind if result.gone_seconds is not None]
        kinds[kind] = {
            "runs": len(of_kind),
            **{name: figures[name] for name in FIGURES},
            "recover_seconds_max": round(max(recovered), 2) if recovered else None,
            **({"gone_seconds_max": round(max(gone), 2)} if gone else {}),
            "failed": sum(bool(result.findings) for result in of_kind),
        }
    return {
        **provenance(),
        "seed": seed,
        "node_ttl_seconds": TTL_SECONDS,
        "seconds": round(seconds),
        "runs": len(results),
        "total": {name: sum(kind[name] for kind in kinds.values()) for name in FIGURES},
        "kinds": kinds,
        "failures": [
            {
                "run": result.run.number,
                "what": result.run.describe(),
                "findings": [f"{finding.what}: {finding.detail}" for finding in result.findings[:5]],
                "all_findings": len(result.findings),
            }
            for result in sorted(results, key=lambda result: result.run.number)
            if result.findings
        ],
        "amiss": list(amiss),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; see the module for the exit codes."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=None, help="plans the runs; one by chance when not given")
    parser.add_argument("--runs", type=int, default=28)
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="make only these runs of the plan")
    parser.add_argument("--kind", nargs="+", choices=KINDS, help="make only runs of these kinds")
    parser.add_argument("--output", type=Path, help=f"for the summary ({SUMMARY.name})")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    runs = [
        run
        for run in plan(seed, options.runs, TTL_SECONDS)
        if (options.only is None or run.number in options.only) and (options.kind is None or run.kind in options.kind)
    ]
    if BINARY is None:
        print("not run: redis-server is not installed (apt-get install redis-server)", file=sys.stderr)
        return NOT_RUN
    print(f"seed {seed}, {len(runs)} runs; again: make chaos ARGS='--seed {seed} --runs {options.runs}'", flush=True)
    shutil.rmtree(DETAILS, ignore_errors=True)
    began = time.monotonic()
    series: list[Series] = []
    try:
        with ExitStack() as stack:
            clients = stack.enter_context(client_host())
            starting = asyncio.Lock()
            for number, with_sentinels in enumerate((False, True)):
                world = stack.enter_context(hosts(number, clients))
                name = f"world {number}"
                series.append(Series(name, world, with_sentinels=with_sentinels, seed=seed, starting=starting))
            asyncio.run(make_runs(series, runs))
    except NotAllowed as error:
        print(f"not run: this machine allows no network namespaces here: {error}", file=sys.stderr)
        return NOT_RUN
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("broken off: no summary written", file=sys.stderr)
        return 130
    results = [result for one in series for result in one.results]
    summary = summarize(seed, results, [what for one in series for what in one.amiss], time.monotonic() - began)
    output = options.output or (SUMMARY if options.only is None and options.kind is None else None)
    if output is not None:
        output.parent.mkdir(exist_ok=True)
        output.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        print(f"wrote {output}")
    print(json.dumps(summary["total"]))
    failed = len(summary["failures"])
    for what in summary["amiss"]:
        print(f"FAILED {what}", file=sys.stderr)
    print(f"{len(results)} runs, {failed} failed (seed {seed})")
    return 1 if failed or summary["amiss"] or len(results) < len(runs) else 0


if __name__ == "__main__":
    sys.exit(main())
