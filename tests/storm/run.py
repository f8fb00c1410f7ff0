"""Let clients come back with their last id, over and over, under steady publishing: ``python -m tests.storm.run``.

Each client must see every event of its topics that was answered 200, once, in one order for all, and no gap. The seed
is printed; it decides who holds what, when each client leaves, how, and to which node it comes back. Writes
`test-results/storm.json`. Exit code 0: every promise was kept; 1: some were broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.gateway import ROOT, GatewayFailed
from tests.reporting.provenance import provenance
from tests.storm.storm import Result, Storm, rage
from tests.storm.worlds import WORLDS

SUMMARY = ROOT / "test-results" / "storm.json"
DETAILS = ROOT / "test-results" / "tmp" / "storm"


async def over(name: str, storm: Storm) -> dict[str, Any]:
    """Let one storm go over the world *name*; returns what is kept of it."""
    world = WORLDS[name]()
    if world.missing:
        print(f"{name}: not run: {world.missing}", flush=True)
        return {"not_run": world.missing}
    try:
        async with world:
            result = await rage(world, storm)
    except (GatewayFailed, TimeoutError) as error:
        print(f"{name}: FAILED {error}", flush=True)
        return {"findings": {"not ready": 1}, "amiss": [str(error)[:1000]]}
    kinds = Counter(finding.what for finding in result.findings)
    print(f"{name}: " + ", ".join(f"{value:g} {name}" for name, value in result.figures.items()), flush=True)
    for finding in result.findings[:10]:
        print(f"  FAILED {finding.what}: {finding.detail[:400]}", flush=True)
    for what in world.amiss[:10]:
        print(f"  FAILED {what}", flush=True)
    if result.findings or world.amiss:
        _keep(name, result, [line for node in world.nodes for line in node.lines])
        print(f"  {len(result.findings)} findings in {(DETAILS / name).relative_to(ROOT)}.json", flush=True)
    return {**result.figures, "findings": dict(kinds), "amiss": world.amiss[:10]}


def _keep(name: str, result: Result, lines: Sequence[str]) -> None:
    DETAILS.mkdir(parents=True, exist_ok=True)
    said = {"findings": [asdict(finding) for finding in result.findings], "log": lines}
    (DETAILS / f"{name}.json").write_text(json.dumps(said, indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; see the module for the exit codes."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=None, help="decides all that happens; one by chance when not given")
    parser.add_argument("--seconds", type=float, default=60, help="of each storm (60)")
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--per-second", type=float, default=12, help="events of each of three publishers (12)")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--output", type=Path, help=f"for the summary ({SUMMARY.name}, when all worlds are run)")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    storm = Storm(seed, options.subscribers, options.seconds, options.per_second)
    print(f"seed {seed}; again: make storm ARGS='--seed {seed}'", flush=True)
    worlds = {name: asyncio.run(over(name, storm)) for name in options.worlds}
    summary = {**provenance(), **asdict(storm), "worlds": worlds}
    output = options.output or (SUMMARY if set(options.worlds) == set(WORLDS) else None)
    if output is not None:
        output.parent.mkdir(exist_ok=True)
        output.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        print(f"wrote {output}")
    failed = [name for name, world in worlds.items() if world.get("findings") or world.get("amiss")]
    print(f"{len(worlds)} worlds, {len(failed)} failed (seed {seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
