"""The committed counts, and what differs from them."""

import json
import platform
from pathlib import Path

from benchmarks import machine

FILE = machine.HERE / "baseline.json"
ALLOWED = 0.10
"""By how much a count may be above its baseline."""

Found = dict[str, dict[str, dict[str, float]]]
"""Server, title of a phase, measure: the count of one unit."""


def python_version() -> str:
    """Return the part of Python's version on which the number of instructions depends."""
    return ".".join(platform.python_version_tuple()[:2])


def load(file: Path = FILE) -> tuple[str, Found]:
    """Return the Python version of the baseline, and its counts.

    Raises:
        SystemExit: There is no baseline.
    """
    if not file.exists():
        raise SystemExit(f"There is no {file.name}; `make bench-guard ARGS=--update` writes it.")
    content = json.loads(file.read_text())
    return content["python"], content["counts"]


def save(found: Found, file: Path = FILE) -> None:
    """Make these counts the baseline; a measure that was not counted now keeps its old figure."""
    known: Found = json.loads(file.read_text())["counts"] if file.exists() else {}
    counts = {
        server: {title: {**known.get(server, {}).get(title, {}), **measures} for title, measures in phases.items()}
        for server, phases in {**known, **found}.items()
    }
    file.write_text(json.dumps({"python": python_version(), "counts": counts}, indent=2) + "\n")


def lower(first: Found, second: Found) -> Found:
    """Return the lower of two counts of each measure."""
    return {
        server: {
            title: {measure: min(value, second[server][title].get(measure, value)) for measure, value in counts.items()}
            for title, counts in phases.items()
        }
        for server, phases in first.items()
    }


def compare(baseline: Found, found: Found, measures: set[str]) -> tuple[list[str], list[str]]:
    """Compare counts.

    Args:
        baseline: As committed.
        found: As counted now.
        measures: Which of them are compared.

    Returns:
        Sentences about what is more than `ALLOWED` above the baseline or not in it, and about what is as far below it.
    """
    worse, better = [], []
    for server, phases in found.items():
        for title, counted in phases.items():
            for measure, value in counted.items():
                if measure not in measures:
                    continue
                before = baseline.get(server, {}).get(title, {}).get(measure)
                if before is None:
                    worse.append(f"{server}: {title}: {value:g} {measure} found; the baseline does not have this row.")
                    continue
                change = value / before - 1
                sentence = f"{server}: {title}: {value:g} {measure} found, baseline {before:g}: {abs(change):.0%}"
                if value > before * (1 + ALLOWED):
                    worse.append(f"{sentence} more; {ALLOWED:.0%} are allowed.")
                elif value < before * (1 - ALLOWED):
                    better.append(f"{sentence} less.")
    return worse, better
