"""The benchmarks' command line: `make bench` and the targets that begin with `bench-` run this."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import edge, figures, history, machine, nodes, report, results, scale
from benchmarks.budget import Budget
from benchmarks.measurement import measure
from benchmarks.peers import ALL, GATEWAYS, REFERENCES
from benchmarks.rows import ROWS


def main() -> int:
    """Run what the arguments say; the exit status is 1 when a check failed on this gateway or on the floor."""
    arguments = _arguments()
    if arguments.what == "report":
        return report.write()
    if arguments.what == "merge":
        results.write(results.merge(arguments.result))
        return report.write()
    machine.prepare()
    machine.build_generator()
    machine.build_floor()
    if arguments.what == "scale":
        found = scale.run(arguments.peers or [*GATEWAYS, "floor"], arguments.rounds or 1, arguments.seconds or 1.5)
        failed = scale.failed(found)
    elif arguments.what == "nodes":
        found = nodes.run(arguments.rounds or 3, arguments.seconds or 1.5)
        failed = nodes.failed(found)
    elif arguments.what == "history":
        found = history.run(arguments.rounds or 3, arguments.seconds or 3.0, arguments.before)
        failed = history.failed(found)
    else:
        found = _campaign(arguments)
        failed = _failed(found)
    print(f"Raw results: {results.write(found).relative_to(machine.ROOT)}")
    report.write()
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("what", choices=("gateway", "peers", "worker", "scale", "nodes", "history", "merge", "report"))
    parser.add_argument("--peers", nargs="+", choices=list(ALL), help="Servers to measure.")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="What to measure of them.")
    parser.add_argument(
        "--rounds", type=int, help="Alternating runs of each row (default: 5; scale: 1; nodes, history: 3)."
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="Other peers than Nchan leave out rounds, but the first, so that the run takes about so long.",
    )
    parser.add_argument("--seconds", type=float, help="How long each run publishes (default: 3; scale, nodes: 1.5).")
    parser.add_argument("--before", default=history.BEFORE, metavar="COMMIT", help="What history is compared to.")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="Go on with raw results that were cut.")
    parser.add_argument("--result", nargs="+", type=Path, metavar="FILE", help="Raw results of one commit, to merge.")
    return parser.parse_args()


def _campaign(arguments: argparse.Namespace) -> results.Results:
    """Run all rows, round after round, and write what there is after each row."""
    if arguments.resume:
        found = results.read(arguments.resume)
        if found["commit"] != machine.commit():
            raise SystemExit(f"{arguments.resume} is of commit {found['commit']}, not of {machine.commit()}.")
    else:
        found = _begin(arguments)
    budget = Budget(arguments.minutes, found["rows"], found["rounds"])
    for number in range(found["rounds"]):
        for row_name, rounds in found["rows"].items():
            if len(rounds) > number:
                continue
            rounds.append(_round(found, row_name, number, budget))
            results.write(found)
    return found


def _begin(arguments: argparse.Namespace) -> results.Results:
    default = {"gateway": [*REFERENCES, *GATEWAYS], "worker": list(edge.SERVERS)}
    peers: list[str] = arguments.peers or default.get(arguments.what, list(ALL))
    not_run: dict[str, str] = {}
    for name in peers:
        reason = ALL[name].missing()
        if reason is not None:
            not_run[name] = reason
            print(f"{name}: not run: {reason}", file=sys.stderr)
    titles = {name: ALL[name].title for name in peers}
    found = results.new(arguments.what, titles, arguments.rounds or 5, arguments.seconds)
    found["peers"] = [name for name in peers if name not in not_run]
    found["versions"] = {name: ALL[name].version() for name in found["peers"]}
    found["not_run"] = not_run
    found["rows"] = {name: [] for name in arguments.rows or ROWS}
    return found


def _round(found: results.Results, row_name: str, number: int, budget: Budget) -> dict[str, Any]:
    able = [name for name in found["peers"] if row_name not in ALL[name].leaves_out]
    runners = budget.runners(row_name, able)
    # Every second round runs backwards: what drifts favours nobody.
    order = runners if number % 2 == 0 else runners[::-1]
    began = time.monotonic()
    reports = {name: measure(ALL[name], ROWS[row_name], found["seconds"]) for name in order}
    figure = ROWS[row_name].figures[0]
    shown = []
    for name, each in reports.items():
        value = figure.of(each)
        shown.append(f"{name} {'failed' if value is None else figures.significant(value)}")
    print(
        f"{time.strftime('%H:%M:%S')} round {number + 1}/{found['rounds']}, {row_name}, "
        f"{time.monotonic() - began:.0f} s; {figure.title}: {', '.join(shown)}",
        flush=True,
    )
    return reports


def _failed(found: results.Results) -> bool:
    return any(
        "error" in each
        for rounds in found["rows"].values()
        for reports in rounds
        for name, each in reports.items()
        if name in (*GATEWAYS, *edge.SERVERS, "floor")
    )


if __name__ == "__main__":
    sys.exit(main())
