"""The difference between two benchmark runs, with what is noise (`make compare`).

Each figure has a value for each round. A difference counts when the rounds of the two runs do not overlap: every round
of one is better than every round of the other. Where both runs measured the floor in the same rounds, ratios to it are
compared, because a machine is not as fast in every hour; else the figures themselves.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine, results
from benchmarks.figures import significant
from tests.reporting.measured import Measurement, kind, measurements, name, runs

BETTER, WORSE, NOISE, UNKNOWN = "better", "worse", "within noise", "a single round: noise unknown"

KINDS = ({"gateway", "peers"}, {"scale"}, {"nodes"}, {"history"}, {"worker"})
"""Kinds of runs that can be compared with each other."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in two runs."""

    before: Measurement
    after: Measurement

    @property
    def to_floor(self) -> bool:
        """Whether ratios to the floor are compared."""
        return bool(self.before.floor and self.after.floor) and not self.before.server.startswith("floor")

    @property
    def change(self) -> float:
        """How many times as much the second run has, in its median."""
        first, second = median(self._values(self.before)), median(self._values(self.after))
        return second / first if first else 1.0

    @property
    def verdict(self) -> str:
        """What the difference is worth."""
        first, second = self._values(self.before), self._values(self.after)
        if max(first) >= min(second) and max(second) >= min(first):
            return NOISE
        if min(len(first), len(second)) < 2:
            return UNKNOWN
        return BETTER if (min(second) > max(first)) == self.before.more_is_better else WORSE

    def _values(self, one: Measurement) -> tuple[float, ...]:
        if not self.to_floor:
            return one.values
        return tuple(value / beside for value, beside in zip(one.values, one.floor, strict=True))


def differences(before: Path, after: Path) -> list[Difference]:
    """Return the difference in every figure that both runs have."""
    old = {each.key: each for each in measurements(before)}
    return [Difference(old[each.key], each) for each in measurements(after) if each.key in old]


def spread(one: Measurement) -> str:
    """Write a measurement: median, and from the lowest to the highest round."""
    if len(one.values) == 1:
        return significant(one.values[0])
    return f"{significant(one.middle)} ({significant(min(one.values))} to {significant(max(one.values))})"


def find(which: str) -> list[Path]:
    """Return the runs that a name stands for: a file, a folder, or any part of the names that `make compare` lists.

    Raises:
        SystemExit: It stands for none.
    """
    path = Path(which)
    if path.is_file():
        return [path]
    found = [file for file in runs() if which.removeprefix(f"{machine.RESULTS.name}/") in name(file)]
    if not found:
        raise SystemExit(f"There is no run {which}. There are:\n" + "\n".join(map(name, runs())))
    return found


def pairs(before: str, after: str) -> list[tuple[Path, Path]]:
    """Return the runs to compare: of each kind in both, the newest. What `gateway` measures, `peers` measures too.

    Raises:
        SystemExit: There are none.
    """
    found = []
    for alike in KINDS:
        first, second = ([file for file in find(which) if kind(file) in alike] for which in (before, after))
        if first and second and first[-1] != second[-1]:
            found.append((first[-1], second[-1]))
    if not found:
        raise SystemExit("No two runs of one kind. There are:\n" + "\n".join(map(name, runs())))
    return found


def render(before: Path, after: Path) -> str:
    """Write the differences of two runs as a table."""
    first, second = results.read(before), results.read(after)
    lines = [f"{name(before)} → {name(after)}: medians (lowest to highest round)"]
    if first["machine"]["processor"] != second["machine"]["processor"]:
        lines.append("Different machines: compare ratios only.")
    compared = differences(before, after)
    rows = [("", "figure", "server", "A", "B", "change", "")]
    what = None
    for each in compared:
        if each.after.what != what:
            what = each.after.what
            rows.append((what, "", "", "", "", "", ""))
        change = f"{each.change - 1:+.1%}{' to floor' if each.to_floor else ''}"
        one, other = spread(each.before), spread(each.after)
        rows.append(("", each.after.figure, each.after.server, one, other, change, each.verdict))
    widths = [max(len(row[column]) for row in rows[1:] if not row[0]) for column in range(1, 7)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row[1:], widths, strict=True))
        lines.append(row[0] or "  " + "  ".join(cells).rstrip())
    verdicts = [each.verdict for each in compared]
    lines.append(", ".join(f"{verdicts.count(each)} {each}" for each in (BETTER, WORSE, NOISE, UNKNOWN)))
    return "\n".join(lines)


def main() -> int:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reporting.compare", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "before", nargs="?", default="", help="a file, a folder of benchmark-results, or part of a name"
    )
    parser.add_argument("after", nargs="?", default="")
    options = parser.parse_args()
    if not options.before or not options.after:
        print("make compare A=… B=…, each a part of one of these names:", *map(name, runs()), sep="\n")
        return 2
    for before, after in pairs(options.before, options.after):
        print(render(before, after), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
