"""The summary of a test run, made of its JUnit XML: ``python -m tests.reporting.summary TARGET``.

A run leaves JUnit XML in ``test-results/TARGET/``; this writes ``summary.json`` beside it: what passed, what failed,
what was not run and why, on which machine, commit and versions. What pytest skipped has not passed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from benchmarks import machine

RESULTS = machine.ROOT / "test-results"
PACKAGES = (
    "django",
    "channels",
    "daphne",
    "twisted",
    "autobahn",
    "uvicorn",
    "websockets",
    "redis",
    "channels-redis",
    "pytest",
)
"""Whose versions are told."""
PROGRAMS = {
    "redis-server": ["redis-server", "--version"],
    "chromium": ["sh", "-c", "chromium --version 2>/dev/null"],
    "node": ["node", "--version"],
}
_LONGEST = 300

Summary = dict[str, Any]


def summarize(target: str, files: list[Path]) -> Summary:
    """Read a run's JUnit XML.

    Args:
        target: What was tested, as the folder's name.
        files: Of one run; their tests add up, and the longest tells how long it took when they ran side by side.
    """
    suites = [suite for file in files for suite in ET.parse(file).getroot().iter("testsuite")]  # noqa: S314 - our own
    cases = [case for suite in suites for case in suite.iter("testcase")]
    skipped: Counter[str] = Counter()
    failed: list[dict[str, str]] = []
    expected = 0
    for case in cases:
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        left_out = case.find("skipped")
        if problem is not None:
            failed.append({"test": name, "why": _first_line(problem)})
        elif left_out is not None and left_out.get("type") == "pytest.xfail":
            expected += 1
        elif left_out is not None:
            # vitest gives no reason: the name must do.
            skipped[_first_line(left_out) or name] += 1
    return {
        "target": target,
        "date": max((suite.get("timestamp", "")[:19] for suite in suites), default=""),
        "commit": machine.commit(),
        "seconds": round(max((_seconds(file) for file in files), default=0.0), 1),
        "tests": len(cases),
        "passed": len(cases) - len(failed) - expected - skipped.total(),
        "expected_failures": expected,
        "failed": failed,
        "not_run": [{"tests": count, "why": why} for why, count in sorted(skipped.items())],
        "machine": {
            name: value
            for name, value in machine.description().items()
            if name in ("processor", "cores", "memory_mib", "kernel", "system")
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of what the gateway stands on, and of the programs that tests use."""
    found = {"python": sys.version.partition(" ")[0]}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for program, command in PROGRAMS.items():
        if told := machine.output_of(command):
            found[program] = told[:80]
    return found


def write(target: str) -> Summary:
    """Write the summary of a run beside its JUnit XML.

    Raises:
        SystemExit: There is none.
    """
    files = sorted((RESULTS / target).glob("*.xml"))
    if not files:
        raise SystemExit(f"{target}: no JUnit XML in test-results/{target}")
    summary = summarize(target, files)
    file = RESULTS / target / "summary.json"
    file.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return summary


def told(summary: Summary) -> str:
    """Return a summary in one line."""
    parts = [f"{summary['passed']:,} of {summary['tests']:,} tests passed in {summary['seconds']:,.0f} s"]
    if summary["expected_failures"]:
        parts.append(f"{summary['expected_failures']} failed as listed")
    if summary["failed"]:
        parts.append(f"{len(summary['failed'])} failed")
    parts += [f"{left['tests']} not run ({left['why']})" for left in summary["not_run"]]
    return f"{summary['target']}: {'; '.join(parts)}"


def _first_line(problem: ET.Element) -> str:
    words = problem.get("message") or problem.text or ""
    return (words.strip().splitlines() or [""])[0].removeprefix("Skipped: ").replace(str(machine.ROOT), ".")[:_LONGEST]


def _seconds(file: Path) -> float:
    root = ET.parse(file).getroot()  # noqa: S314 - our own
    suites = list(root.iter("testsuite"))
    # vitest tells the whole run's time at the root, and each file's in its suite.
    return float(root.get("time") or sum(float(suite.get("time") or 0) for suite in suites))


def main() -> int:
    """Summarize the runs of these targets whose JUnit XML is there."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reporting.summary", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("target", nargs="+", help="folder in test-results with *.xml of one run")
    for target in parser.parse_args().target:
        print(told(write(target)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
