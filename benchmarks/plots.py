"""The plots, drawn from the raw results."""

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import scale
from benchmarks.figures import Rounds, significant
from benchmarks.rows import ROWS
from benchmarks.svg import Drawing, Scale, apart, decades

_KINDS = {"floor": "floor", "nchan": "nchan", "gateway-daphne": "daphne", "gateway-uvicorn": "uvicorn"}

# Row, number of its figure, and the panel's name.
_PANELS = (
    ("fan-out-1000", 0, "A delivery, one event at a time", "1,000 SSE clients, CPU µs"),
    ("window-1000", 0, "A delivery, 32 events in flight", "1,000 SSE clients, CPU µs"),
    ("single", 0, "A publish to one client", "whole path, CPU µs"),
    ("dropped-200", 0, "A publish for nobody", "200 bytes, CPU µs"),
    ("idle-5000", 0, "An idle client", "memory, KiB"),
    ("idle-5000", 1, "Accepting a client", "CPU µs"),
)
_PANEL_COLUMNS = 3
_LABELS, _PANEL, _ROW, _HEAD = 170, 250, 20, 64

_QUANTILES = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99_9", "p99.9"))


def _kind(peer: str) -> str:
    return _KINDS.get(peer, "other")


def peers(results: dict[str, Any]) -> str:
    """Draw what each server costs: for each a point at the median and a line over all rounds."""
    names: list[str] = results["peers"]
    panel_height = _HEAD + _ROW * len(names) + 34
    rows = -(-len(_PANELS) // _PANEL_COLUMNS)
    width = _LABELS + _PANEL_COLUMNS * _PANEL + 10
    drawing = Drawing(width, rows * panel_height + 26, "What each server costs; lower is better")
    for number, (row_name, figure_number, title, unit) in enumerate(_PANELS):
        left = _LABELS + number % _PANEL_COLUMNS * _PANEL
        top = number // _PANEL_COLUMNS * panel_height
        rounds: Rounds = results["rows"].get(row_name, [])
        figure = ROWS[row_name].figures[figure_number]
        values = {
            name: [value for each in rounds if (value := figure.of(each.get(name, {}))) is not None and value > 0]
            for name in names
        }
        drawing.text(left + 8, top + 24, title, "text strong")
        drawing.text(left + 8, top + 40, f"{unit}, logarithmic", "muted")
        _panel(drawing, values, {name for each in rounds for name in each}, left, top + _HEAD)
        if number % _PANEL_COLUMNS == 0:
            for place, name in enumerate(names):
                kind = "text strong" if name.startswith("gateway") else "text"
                drawing.text(_LABELS - 6, top + _HEAD + place * _ROW + 14, results["titles"][name], kind, "end")
    _source(drawing, results, 12, rows * panel_height + 14)
    return str(drawing)


def _panel(drawing: Drawing, values: dict[str, list[float]], ran: set[str], left: float, top: float) -> None:
    known = [value for each in values.values() for value in each]
    bottom = top + _ROW * len(values)
    if not known:
        drawing.text(left + 8, top + 14, "not measured", "muted")
        return
    low, high = decades(known)
    # Room on the right for the figure of the last point.
    across = Scale(low, high, left + 10, left + _PANEL - 52, logarithmic=True)
    for tick in across.ticks():
        drawing.line(across(tick), top, across(tick), bottom)
        drawing.text(across(tick), bottom + 15, f"{tick:,g}", "muted", "middle")
    for place, (name, found) in enumerate(values.items()):
        y = top + place * _ROW + 10
        if not found:
            drawing.text(left + 12, y + 4, "failed" if name in ran else "—", "muted")
            continue
        drawing.line(across(min(found)), y, across(max(found)), y, _kind(name), 2)
        drawing.dot(across(median(found)), y, _kind(name))
        strong = " strong" if name.startswith("gateway") else ""
        drawing.text(across(max(found)) + 8, y + 4, significant(median(found)), "text" + strong)


def latency(results: dict[str, Any]) -> str | None:
    """Draw the percentiles of publish to delivery at a fixed rate; None without results."""
    rounds: Rounds = results["rows"].get("rate-1000", [])
    curves = {}
    for name in results["peers"]:
        reports = [each[name]["delivery_us"] for each in rounds if "delivery_us" in each.get(name, {})]
        if reports:
            curves[name] = [median(report[key] for report in reports) / 1000 for key, _ in _QUANTILES]
    if not curves:
        return None
    return _lines(
        results,
        "Publish to delivery, 50 events/s to 1,000 SSE clients",
        "milliseconds, logarithmic; lower is better",
        [title for _, title in _QUANTILES],
        curves,
        logarithmic=True,
    )


def growth(results: dict[str, Any], series: str, title: str) -> str | None:
    """Draw the cost per delivery of one series of `make bench-scale`; None without results."""
    points = [point for point in results["points"] if point["series"] == series]
    costs = {name: [scale.cost(point["rounds"], name) for point in points] for name in results["peers"]}
    curves = {name: [cost for cost in each if cost is not None] for name, each in costs.items()}
    whole = {name: each for name, each in curves.items() if len(each) == len(points) > 1}
    if not whole:
        return None
    ats = [f"{point['at']:,}" for point in points]
    return _lines(results, title, "CPU µs per delivery; lower is better", ats, whole, logarithmic=False)


def _lines(
    results: dict[str, Any],
    title: str,
    unit: str,
    marks: list[str],
    curves: dict[str, list[float]],
    *,
    logarithmic: bool,
) -> str:
    width, height, left, right, top = 800.0, 400.0, 60.0, 230.0, 64.0
    bottom = height - 56
    drawing = Drawing(width, height, title)
    drawing.text(16, 26, title, "text strong")
    drawing.text(16, 44, unit, "muted")
    values = [value for each in curves.values() for value in each]
    low, high = decades(values) if logarithmic else (0.0, max(values) * 1.08)
    up = Scale(low, high, bottom, top, logarithmic=logarithmic)
    across: Callable[[int], float] = lambda number: left + number * (width - left - right) / (len(marks) - 1)  # noqa: E731
    for tick in up.ticks():
        drawing.line(left, up(tick), width - right, up(tick))
        drawing.text(left - 8, up(tick) + 4, f"{tick:,g}", "muted", "end")
    for number, mark in enumerate(marks):
        drawing.text(across(number), bottom + 18, mark, "muted", "middle")
    labels = apart([up(each[-1]) for each in curves.values()], 16, top, bottom)
    # Ours last, so that they lie above the others.
    for (name, each), label in sorted(
        zip(curves.items(), labels, strict=True), key=lambda item: "gateway" in item[0][0]
    ):
        points = [(across(number), up(value)) for number, value in enumerate(each)]
        drawing.curve(points, _kind(name))
        for x, y in points:
            drawing.dot(x, y, _kind(name), 3)
        kind = f"{_kind(name)} strong" if name.startswith("gateway") else _kind(name)
        drawing.text(width - right + 10, label + 4, f"{results['titles'][name]} {significant(each[-1])}", kind)
    _source(drawing, results, 16, height - 14)
    return str(drawing)


def _source(drawing: Drawing, results: dict[str, Any], x: float, y: float) -> None:
    rounds = max(map(len, results["rows"].values()), default=0) if "rows" in results else results["rounds"]
    words = f"{results['date'][:10]}, commit {results['commit']}, {results['machine']['processor']}"
    drawing.text(x, y, f"{words}; rounds: {rounds}; medians", "muted")
