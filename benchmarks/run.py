"""The benchmarks' command line: `make bench`, `make bench-peers` and `make bench-scale` run this."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine, scale, table
from benchmarks.measurement import measure
from benchmarks.peers import ALL, GATEWAYS, REFERENCES
from benchmarks.rows import ROWS


def main() -> int:
    """Run what the arguments say; the exit status is 1 when a check failed on this gateway or on the floor."""
    arguments = _arguments()
    machine.prepare()
    machine.build_generator()
    machine.build_floor()
    if arguments.what == "table":
        _write_table(*(arguments.result or [_latest()]))
        return 0
    if arguments.what == "scale":
        results = scale.run(arguments.peers or [*GATEWAYS, "floor"], arguments.rounds or 1, arguments.seconds or 1.5)
        file = _write(results, "scale")
        (machine.RESULTS / "scale.md").write_text(scale.render(results))
        print(f"Wrote {file.relative_to(machine.ROOT)} and benchmark-results/scale.md")
        return int(scale.failed(results))
    default = [*REFERENCES, *GATEWAYS] if arguments.what == "gateway" else list(ALL)
    results = _run(arguments.peers or default, arguments.rows or list(ROWS), arguments.rounds or 5, arguments.seconds)
    results["target"] = "bench" if arguments.what == "gateway" else "bench-peers"
    file = _write(results, arguments.what)
    _write_table(file)
    print(f"Wrote {file.relative_to(machine.ROOT)} and benchmark-results/latest.md")
    return int(_failed(results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("what", choices=("gateway", "peers", "scale", "table"))
    parser.add_argument("--peers", nargs="+", choices=list(ALL), help="Servers to measure.")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="What to measure of them.")
    parser.add_argument("--rounds", type=int, help="Alternating runs of each row (default: 5; scale: 1).")
    parser.add_argument("--seconds", type=float, help="How long each run publishes (default: 3; scale: 1.5).")
    parser.add_argument(
        "--result", nargs="+", type=Path, help="Raw results of one commit to write one table of (default: the newest)."
    )
    return parser.parse_args()


def _run(peers: list[str], rows: list[str], rounds: int, seconds: float | None) -> dict[str, Any]:
    not_run: dict[str, str] = {}
    for name in peers:
        reason = ALL[name].missing()
        if reason is not None:
            not_run[name] = reason
            print(f"{name}: not run: {reason}", file=sys.stderr)
    present = [name for name in peers if name not in not_run]
    results: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.description(),
        "rounds": rounds,
        "seconds": seconds,
        "peers": present,
        "titles": {name: ALL[name].title for name in peers},
        "versions": {name: ALL[name].version() for name in present},
        "not_run": not_run,
        "rows": {},
    }
    for row_name in rows:
        row = ROWS[row_name]
        runners = [name for name in present if row_name not in ALL[name].leaves_out]
        reports: table.Rounds = []
        for number in range(rounds):
            # Every second round runs backwards: what drifts favours nobody.
            order = runners if number % 2 == 0 else runners[::-1]
            reports.append({name: measure(ALL[name], row, seconds) for name in order})
            _progress(row_name, number + 1, rounds, reports[-1])
        results["rows"][row_name] = reports
    return results


def _progress(row: str, number: int, rounds: int, reports: dict[str, Any]) -> None:
    figure = ROWS[row].figures[0]
    found = []
    for name, report in reports.items():
        value = figure.of(report)
        found.append(f"{name} {'failed' if value is None else table.significant(value)}")
    print(f"{time.strftime('%H:%M:%S')} {row} {number}/{rounds}, {figure.title}: {', '.join(found)}", flush=True)


def _failed(results: dict[str, Any]) -> bool:
    return any(
        "error" in report
        for rounds in results["rows"].values()
        for each in rounds
        for name, report in each.items()
        if name in GATEWAYS or name == "floor"
    )


def _write(results: dict[str, Any], name: str) -> Path:
    folder = machine.RESULTS / f"{results['date'][:10]}-{results['commit']}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{results['date'][11:19].replace(':', '')}.json"
    file.write_text(json.dumps(results, indent=1) + "\n")
    return file


def _latest() -> Path:
    found = sorted(machine.RESULTS.glob("*/peers-*.json")) or sorted(machine.RESULTS.glob("*/gateway-*.json"))
    if not found:
        raise SystemExit("There are no results yet; run `make bench`.")
    return found[-1]


def _write_table(*files: Path) -> None:
    results = table.merge([json.loads(file.read_text()) for file in files])
    (machine.RESULTS / "latest.md").write_text(table.render(results))


if __name__ == "__main__":
    sys.exit(main())
