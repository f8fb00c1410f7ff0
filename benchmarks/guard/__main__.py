"""`make bench-guard`: count, and compare with benchmarks/baseline.json."""

import argparse
import secrets
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.guard import baseline, phases
from benchmarks.guard.client import Wrong
from benchmarks.guard.counters import (
    BYTES,
    INSTRUCTIONS,
    SYSTEM_CALLS,
    Counter,
    Inside,
    NotPossible,
    Strace,
    why_no_strace,
)
from benchmarks.server import ServerFailed, free_port, running, scratch

SERVERS = ("daphne", "uvicorn")


def main() -> int:
    """Count on each server; the exit status is 1 when a count has grown too much or a check failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--update", action="store_true", help="Write what is found to the baseline.")
    parser.add_argument("--server", nargs="+", choices=SERVERS, default=SERVERS)
    parser.add_argument("--baseline", type=Path, default=baseline.FILE, help="The file compared with, or written.")
    parser.add_argument("--verbose", action="store_true", help="Print every count.")
    arguments = parser.parse_args()
    machine.prepare()
    try:
        return _guard(arguments)
    except (NotPossible, ServerFailed, Wrong) as failure:
        print(f"The guard could not count: {failure}", file=sys.stderr)
        return 1


def _guard(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    not_run = why_no_strace()
    found = {server: count(server, strace=not_run is None) for server in arguments.server}
    if arguments.verbose or arguments.update:
        _print(found)
    if not_run is not None:
        print(f"Not run: system calls were not counted, because {not_run}.")
    if arguments.update:
        baseline.save(found, arguments.baseline)
        print(f"Wrote {arguments.baseline.name}.")
        return 0
    return _judge(found, arguments.baseline, strace=not_run is None, seconds=time.monotonic() - began)


def count(server: str, *, strace: bool) -> dict[str, dict[str, float]]:
    """Count all phases on one server: from outside, and on a second start from inside.

    Args:
        server: `daphne` or `uvicorn`.
        strace: Whether system calls are counted.

    Raises:
        NotPossible: What counts does not work.
        ServerFailed: The server did not start or last.
        Wrong: It did not do what it must.
    """
    found: dict[str, dict[str, float]] = {}
    for outside in (True, False) if strace else (False,):
        for phase in _phases(server, outside=outside):
            found.setdefault(phase.title, {}).update(phase.per_unit())
    return found


def _phases(server: str, *, outside: bool) -> list[phases.Phase]:
    port, key = free_port(), secrets.token_urlsafe(24)
    environment = {
        "GATEWAY_API_KEYS": key,
        "GATEWAY_LOG_LEVEL": "warning",
        "GATEWAY_LOG_FORMAT": "json",
        # A keep-alive in the middle of a phase would be counted.
        "GATEWAY_HEARTBEAT_SECONDS": "3600",
        "SSE_GATEWAY_DOTENV": "/dev/null",
        # Sets are walked in the same order in every run.
        "PYTHONHASHSEED": "0",
    }
    with scratch() as folder:
        reports = folder / "reports.jsonl"
        command = [sys.executable, *([] if outside else ["-X", "tracemalloc"]), "-m", "benchmarks.guard.inside"]
        command += [str(reports), "serve", "--port", str(port), "--server", server]
        with running(command, folder=folder, port=port, environment=environment) as pid:
            counter: Counter = Strace(pid, folder) if outside else Inside(pid, reports)
            return list(phases.run(("127.0.0.1", port), key, pid, counter))


def _judge(found: baseline.Found, file: Path, *, strace: bool, seconds: float) -> int:
    version, expected = baseline.load(file)
    measures = {SYSTEM_CALLS} if strace else set()
    if version == baseline.python_version():
        measures |= {INSTRUCTIONS, BYTES}
    else:
        print(f"Not run: instructions and bytes were not compared: the baseline is of Python {version}.")
    worse, better = baseline.compare(expected, found, measures)
    if worse:
        # A timer or a thread that happened to run is in a count: what stays in the second one is the server's.
        again = {server: count(server, strace=strace) for server in found}
        found = baseline.lower(found, again)
        worse, better = baseline.compare(expected, found, measures)
    for sentence in better:
        print(f"Better than the baseline: {sentence}")
    if better:
        print("`make bench-guard ARGS=--update` keeps that.")
    for sentence in worse:
        print(sentence, file=sys.stderr)
    if worse:
        print(
            "If it is meant to cost more, `make bench-guard ARGS=--update` writes the baseline anew.", file=sys.stderr
        )
        return 1
    rows = sum(measure in measures for phase in found.values() for counts in phase.values() for measure in counts)
    print(f"{rows} counts within {baseline.ALLOWED:.0%} of benchmarks/{file.name}, in {seconds:.0f} s.")
    return 0


def _print(found: baseline.Found) -> None:
    for server, rows in found.items():
        for title, counts in rows.items():
            print(f"{server}: {title}: " + ", ".join(f"{value:g} {measure}" for measure, value in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
