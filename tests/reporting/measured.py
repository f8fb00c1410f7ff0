"""Benchmark runs of every kind as one list of measurements: what, on which server, with the value of each round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine, results
from benchmarks.rows import ROWS, Figure


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure of one server, in all rounds.

    Attributes:
        what: The row.
        figure: Its title, with its unit.
        server: Its title.
        values: One for each round that succeeded.
        more_is_better: True for rates.
        floor: The values of the floor in the same rounds, where it ran; how fast the machine was just then.
    """

    what: str
    figure: str
    server: str
    values: tuple[float, ...]
    more_is_better: bool = False
    floor: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What another run's measurement must have in common with this one to be compared."""
        return self.what, self.figure, self.server

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)


def runs() -> list[Path]:
    """Return all raw results, the oldest first."""
    return sorted(machine.RESULTS.glob("*/*.json"), key=lambda file: (str(results.read(file)["date"]), file.name))


def name(file: Path) -> str:
    """Return how a run is called: `2026-11-21-f0bf7ba/peers-115128`."""
    return f"{file.parent.name}/{file.stem}"


def kind(file: Path) -> str:
    """Return what a run measured: a key of `_MAKERS`."""
    return file.name.partition("-")[0]


def measurements(file: Path) -> list[Measurement]:
    """Return the measurements of one run, whatever its kind."""
    return [each for each in _MAKERS[kind(file)](results.read(file)) if each.values]


def _rows(found: results.Results, rows: str = "rows") -> Iterator[Measurement]:
    for row_name, rounds in found[rows].items():
        row = ROWS[row_name]
        servers = dict.fromkeys(server for each in rounds for server in each)
        for figure in row.figures:
            for server in servers:
                yield _of(row.title, figure, server, found["titles"].get(server, server), rounds)


def _of(what: str, figure: Figure, server: str, title: str, rounds: list[results.Results]) -> Measurement:
    pairs = [(figure.of(each.get(server, {})), figure.of(each.get("floor", {}))) for each in rounds]
    values = tuple(value for value, _ in pairs if value is not None)
    floor = tuple(beside for value, beside in pairs if value is not None and beside)
    return Measurement(
        what, figure.title, title, values, figure.more_is_better, floor if len(floor) == len(values) else ()
    )


_COST = Figure("CPU µs per delivery", "cpu_us_per_delivery")
_REDIS = Figure("Redis, CPU µs per event", "redis_cpu_us_per_event")
_P50 = Figure("publish to delivery, p50 µs", "delivery_us.p50")
_P99 = Figure("publish to delivery, p99 µs", "delivery_us.p99")
_REPLAY = (
    Figure("memory, MiB", "memory_bytes", 1 / 1_048_576),
    Figure("live p99 usually, µs", "usual_p99_us"),
    Figure("live p99 meanwhile, µs", "during_p99_us"),
    Figure("replay, s", "replay_seconds"),
)


def _scale(found: results.Results) -> Iterator[Measurement]:
    for point in found["points"]:
        for server in found["peers"]:
            yield _of(f"{point['series']}: {point['at']:,}", _COST, server, found["titles"][server], point["rounds"])


def _nodes(found: results.Results) -> Iterator[Measurement]:
    for part, figures in (("cost", (_COST, _REDIS)), ("latency", (_P50, _P99))):
        for setting, rounds in found[part].items():
            for figure in figures:
                for server in found["peers"]:
                    yield _of(f"nodes, {part}: {setting}", figure, server, found["titles"][server], rounds)


def _history(found: results.Results) -> Iterator[Measurement]:
    for store, servers in found["replay"].items():
        for server, report in servers.items():
            for figure in _REPLAY:
                rounds = [{server: each} for each in report.get("rounds", [])]
                yield _of(
                    f"replay of {found['kept']:,} events from {store}", figure, server, found["titles"][server], rounds
                )
    yield from _rows(found, "fan_out")


_MAKERS = {"gateway": _rows, "peers": _rows, "scale": _scale, "nodes": _nodes, "history": _history, "worker": _rows}
