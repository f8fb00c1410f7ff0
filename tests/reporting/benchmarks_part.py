"""The page's part on benchmarks: beside the peers, trends, two runs side by side, the newest run of each kind."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks import machine, results
from benchmarks.figures import significant
from tests.reporting import trends
from tests.reporting.compare import KINDS, Difference, differences, spread
from tests.reporting.html import Markup, join, table, tag
from tests.reporting.measured import kind, measurements, name, runs

PAIRED = 8
"""So many of the newest runs of a kind can be laid side by side: pairs grow with the square."""
_PLOTS = (
    ("peers.svg", "What each server costs"),
    ("latency.svg", "Latency at a fixed rate"),
    ("scale-connections.svg", "A delivery against connections"),
    ("scale-topics.svg", "A publish to one client against topics"),
    ("scale-size.svg", "A delivery against the event's size"),
)


def render() -> Markup:
    """Write it."""
    files = runs()
    plots = [_picture((machine.RESULTS / file).read_text("utf-8"), words) for file, words in _PLOTS if _there(file)]
    newest = [_newest([file for file in files if kind(file) in alike]) for alike in KINDS]
    return join(
        [
            tag("h2", "Benchmarks", id="benchmarks"),
            tag(
                "p",
                "Medians of the rounds, and in parentheses the lowest and the highest. Lower is better but for rates. "
                "A machine is not as fast in every hour: ratios to the floor (a C program that does one write for each "
                "delivery) and to peers of the same run say more than microseconds.",
            ),
            tag("h3", "Beside other servers", id="peers"),
            _beside_peers([file for file in files if kind(file) == "peers"]),
            *plots,
            tag("h3", "Trends", id="trends"),
            *[_picture(drawing, words) for words, drawing in trends.drawings(files)],
            tag("h3", "Two runs side by side", id="side-by-side"),
            _side_by_side(files),
            tag("h3", "The newest run of each kind", id="newest"),
            *newest,
        ]
    )


def _there(file: str) -> bool:
    return (machine.RESULTS / file).exists()


def _picture(drawing: str, words: str) -> Markup:
    # As an image it keeps its own styles, for a light and for a dark page.
    source = "data:image/svg+xml;base64," + b64encode(drawing.encode()).decode()
    return Markup(tag("p", Markup(f'<img alt="{words}" src="{source}">')))


def _beside_peers(files: list[Path]) -> Markup:
    if not files:
        return tag("p", "Not measured.")
    found = results.read(files[-1])
    by_row: dict[tuple[str, str], dict[str, str]] = {}
    for each in measurements(files[-1]):
        by_row.setdefault((each.what, each.figure), {})[each.server] = significant(each.middle)
    titles = [found["titles"][peer] for peer in found["peers"]]
    rows = [[what, figure, *(cells.get(title, "—") for title in titles)] for (what, figure), cells in by_row.items()]
    return join([_about(files[-1], found), table(("row", "figure", *titles), rows)])


def _about(file: Path, found: results.Results) -> Markup:
    facts = found["machine"]
    words = (
        f"{name(file)}: {found['date'][:16].replace('T', ' ')} UTC, commit {found['commit']}, {facts['processor']}, "
        f"{facts['cores']} cores, {facts['system']}, Python {facts['python']}."
    )
    lines = [tag("p", words)]
    if versions := found.get("versions"):
        told = "; ".join(f"{found['titles'].get(peer, peer)}: {version}" for peer, version in versions.items())
        lines.append(tag("p", f"Versions: {told}."))
    if not_run := found.get("not_run"):
        told = "; ".join(f"{found['titles'].get(peer, peer)}: {why}" for peer, why in not_run.items())
        lines.append(tag("p", f"Not run: {told}."))
    return join(lines)


def _newest(files: list[Path]) -> Markup:
    if not files:
        return Markup("")
    found = results.read(files[-1])
    rows = [(each.what, each.figure, each.server, spread(each)) for each in measurements(files[-1])]
    heads = ("row", "figure", "server", "median (lowest to highest)")
    return tag("details", tag("summary", name(files[-1])), _about(files[-1], found), table(heads, rows))


def _side_by_side(files: list[Path]) -> Markup:
    pairs: list[dict[str, Any]] = []
    for alike in KINDS:
        last = [file for file in files if kind(file) in alike][-PAIRED:]
        pairs += [_pair(before, after) for before, after in combinations(last, 2)]
    options = [tag("option", f"{pair['a']} → {pair['b']}", value=str(number)) for number, pair in enumerate(pairs)]
    data = json.dumps(pairs, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return join(
        [
            tag(
                "p",
                "A difference counts when the rounds of the two runs do not overlap (",
                tag("code", "make compare"),
                ").",
            ),
            tag("p", tag("label", "Runs: ", tag("select", *options, id="pair"))),
            tag("p", "", id="pair-verdicts"),
            tag("div", "", id="pair-table", kind="wide"),
            Markup(f'<script type="application/json" id="pairs">{data}</script>'),
        ]
    )


def _pair(before: Path, after: Path) -> dict[str, Any]:
    return {"a": name(before), "b": name(after), "rows": [_cells(each) for each in differences(before, after)]}


def _cells(each: Difference) -> list[str]:
    change = f"{each.change - 1:+.1%}{' to floor' if each.to_floor else ''}"
    head = [each.after.what, each.after.figure, each.after.server]
    return [*head, spread(each.before), spread(each.after), change, each.verdict]
