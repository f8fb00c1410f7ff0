"""Figures over the runs: for each run the median, with a line from the lowest to the highest round."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import significant
from benchmarks.peers import ALL
from benchmarks.rows import ROWS
from benchmarks.svg import Drawing, Scale, apart
from tests.reporting.measured import Measurement, kind, measurements, name

# Row and number of its figure.
_FIGURES = (
    ("fan-out-1000", 0),
    ("window-1000", 0),
    ("websocket-1000", 0),
    ("single", 0),
    ("dropped-200", 0),
    ("idle-5000", 0),
)
_SERVERS = {"gateway-daphne": "daphne", "gateway-uvicorn": "uvicorn", "nchan": "nchan", "floor": "floor"}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 800.0, 320.0, 60.0, 230.0, 64.0, 270.0


def drawings(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Draw each figure over the runs that have it; what fewer than two runs have is no trend.

    Args:
        files: Raw results, the oldest first.
    """
    runs = [(name(file), measurements(file)) for file in files if kind(file) in ("gateway", "peers")]
    for row_name, number in _FIGURES:
        row = ROWS[row_name]
        title = f"{row.title}: {row.figures[number].title}"
        points = {
            server: [
                (run, each)
                for run, found in runs
                for each in found
                if each.key == (row.title, row.figures[number].title, ALL[server].title)
            ]
            for server in _SERVERS
        }
        having = [run for run, _ in runs if any(run == which for each in points.values() for which, _ in each)]
        if len(having) > 1:
            yield title, _draw(title, having, {server: each for server, each in points.items() if each})


def _draw(title: str, runs: list[str], points: dict[str, list[tuple[str, Measurement]]]) -> str:
    drawing = Drawing(_WIDTH, _HEIGHT, title)
    drawing.text(16, 26, title, "text strong")
    drawing.text(16, 44, "medians, and from the lowest to the highest round", "muted")
    highest = max(max(each.values) for found in points.values() for _, each in found)
    up = Scale(0, highest * 1.08, _BOTTOM, _TOP, logarithmic=False)
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(runs) - 1, 1)
    across = {run: _LEFT + number * step for number, run in enumerate(runs)}
    for tick in up.ticks():
        drawing.line(_LEFT, up(tick), _WIDTH - _RIGHT, up(tick))
        drawing.text(_LEFT - 8, up(tick) + 4, f"{tick:,g}", "muted", "end")
    for number, run in enumerate(runs):
        anchor = "start" if number == 0 else "end" if number == len(runs) - 1 else "middle"
        drawing.text(across[run], _BOTTOM + 18, run.partition("/")[0].rpartition("-")[2], "muted", anchor)
    labels = apart([up(each[-1][1].middle) for each in points.values()], 16, _TOP, _BOTTOM)
    for (server, found), label in zip(points.items(), labels, strict=True):
        look = _SERVERS[server]
        drawing.curve([(across[run], up(each.middle)) for run, each in found], look)
        for run, each in found:
            drawing.line(across[run], up(min(each.values)), across[run], up(max(each.values)), look, 2)
            drawing.dot(across[run], up(each.middle), look, 3)
        drawing.text(_WIDTH - _RIGHT + 10, label + 4, f"{ALL[server].title} {significant(found[-1][1].middle)}", look)
    return str(drawing)
