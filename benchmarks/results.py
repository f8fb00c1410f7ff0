"""Raw results: one JSON file a run, written after every row of every round, so that a run that is cut is not lost."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine

Results = dict[str, Any]
"""As `new` makes it; `rows` holds for each row a list of rounds, each a mapping from a peer to its report."""


def new(kind: str, titles: dict[str, str], rounds: int, seconds: float | None) -> Results:
    """Begin the results of a run.

    Args:
        kind: `gateway`, `peers`, `worker`, `scale` or `nodes`.
        titles: Of the peers that run, by their names.
        rounds: Alternating runs that are wanted of each row.
        seconds: How long each publishes; None is the generator's own measure.
    """
    return {
        "kind": kind,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.description(),
        "rounds": rounds,
        "seconds": seconds,
        "peers": list(titles),
        "titles": titles,
    }


def write(results: Results) -> Path:
    """Write results to the file that their kind, date and commit name, whole or not at all."""
    folder = machine.RESULTS / f"{results['date'][:10]}-{results['commit']}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{results['kind']}-{results['date'][11:19].replace(':', '')}.json"
    part = file.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(file)
    return file


def read(file: Path) -> Results:
    """Read results."""
    results: Results = json.loads(file.read_text())
    return results


def latest(*kinds: str) -> Results | None:
    """Return the newest results of any of these kinds; None when there are none."""
    found = [file for kind in kinds for file in machine.RESULTS.glob(f"*/{kind}-*.json")]
    return max(map(read, found), key=lambda results: str(results["date"]), default=None)


def merge(files: list[Path]) -> Results:
    """Put results of one commit together: the rounds of a row follow each other.

    Args:
        files: Of `gateway` or `peers`.

    Raises:
        SystemExit: They are of different commits, which one table would hide.
    """
    parts = [read(file) for file in files]
    if len({part["commit"] for part in parts}) > 1:
        raise SystemExit("The results are of different commits.")
    merged = dict(parts[0])
    for part in parts[1:]:
        merged["peers"] = list(dict.fromkeys([*merged["peers"], *part["peers"]]))
        for key in ("titles", "versions", "not_run"):
            merged[key] = {**merged[key], **part[key]}
        rows = dict(merged["rows"])
        for name, rounds in part["rows"].items():
            rows[name] = [*rows.get(name, []), *rounds]
        merged["rows"] = rows
    merged["kind"] = "peers"
    merged["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    merged["merged_from"] = [file.name for file in files]
    return merged
