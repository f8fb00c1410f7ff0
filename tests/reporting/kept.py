"""The summaries that the repository keeps: ``test-results/runs.jsonl``, a line for each target and commit.

``python -m tests.reporting.kept`` (`make results-keep`) adds those of the runs whose ``summary.json`` is on this
machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from tests.reporting.summary import RESULTS, Summary, told

FILE = RESULTS / "runs.jsonl"


def read() -> list[Summary]:
    """Return what is kept, in the order of its dates."""
    if not FILE.exists():
        return []
    found: list[Summary] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return sorted(found, key=_date)


def local() -> list[Summary]:
    """Return the last run of each target on this machine."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*/summary.json"))]


def merged(old: Iterable[Summary], new: Iterable[Summary]) -> list[Summary]:
    """Return all of them; of a target and commit, the newest."""
    found: dict[tuple[str, str], Summary] = {}
    for summary in sorted([*old, *new], key=_date):
        found[summary["target"], summary["commit"]] = summary
    return sorted(found.values(), key=_date)


def keep() -> list[Summary]:
    """Add this machine's runs, and return them.

    Raises:
        SystemExit: A run was of code that no commit has.
    """
    runs = local()
    if changed := [run["target"] for run in runs if run["commit"].endswith("-changed")]:
        raise SystemExit(f"Not kept: {', '.join(changed)} ran on uncommitted changes; commit and run again.")
    lines = [json.dumps(summary, ensure_ascii=False) for summary in merged(read(), runs)]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return runs


def _date(summary: Summary) -> str:
    return str(summary["date"])


def main() -> int:
    """Keep this machine's runs."""
    for summary in keep():
        print(told(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
