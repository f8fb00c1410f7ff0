"""How cost grows with connections, topics and size (`make bench-scale`)."""

import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import machine, results
from benchmarks.figures import significant
from benchmarks.measurement import measure
from benchmarks.peers import ALL
from benchmarks.rows import Row

CONNECTIONS = (1, 10, 100, 1000, 5000, 10_000, 15_000)
TOPICS = (1, 10, 100, 1000, 10_000)
OTHERS = (1, 100, 1000, 10_000)
SIZES = (10, 100, 1000, 10_000, 100_000)
SIZE_CONNECTIONS = 100

BY_CONNECTIONS = "connections, one topic, one event at a time"
BY_TOPICS = "topics of one connection each, published to in turn; 8 publishers, 8 events in flight"
BY_SIZE = f"event size in bytes, {SIZE_CONNECTIONS} connections, one event at a time"
BESIDE_OTHERS = "connections of one topic, beside eight topics of one connection each, which are published to in turn"


@dataclass(frozen=True, slots=True)
class Goal:
    """How flat the cost of a series must be.

    Attributes:
        series: Which.
        title: What must not matter.
        start: The first point that counts.
        limit: The largest allowed ratio of the dearest point to the cheapest, or to the first.
        to_first: Whether the first point is the measure, and not the cheapest.
    """

    series: str
    title: str
    start: int
    limit: float
    to_first: bool = False


GOALS = (
    Goal(BY_CONNECTIONS, "cost per delivery, 100 to 15,000 connections: dearest to cheapest", 100, 1.5),
    Goal(BY_TOPICS, "cost per delivery, 1 to 10,000 topics: dearest to cheapest", 1, 1.5),
    Goal(
        BESIDE_OTHERS,
        "a publish to one subscriber beside thousands of connections of another topic: dearest to that beside one",
        1,
        1.1,
        to_first=True,
    ),
)


def points() -> list[tuple[str, int, Row]]:
    """Return every point: the name of its series, its place in it and the run."""
    limit = machine.connection_limit()
    found: list[tuple[str, int, Row]] = []

    def add(series: str, at: int, **settings: Any) -> None:
        if settings["subscribers"] <= limit:
            found.append((series, at, Row(f"{series}-{at}", "", {"mode": "deliver", **settings}, ())))

    for count in CONNECTIONS:
        add(BY_CONNECTIONS, count, subscribers=count)
    for count in TOPICS:
        # One delivery is one publish here: the whole path must not know how many topics there are.
        add(
            BY_TOPICS,
            count,
            subscribers=count,
            topics=count,
            publishers=8,
            window=8,
            warm_up_rounds=2,
        )
    for size in SIZES:
        add(
            BY_SIZE,
            size,
            subscribers=SIZE_CONNECTIONS,
            size=size,
        )
    for count in OTHERS:
        # Nothing is published to the topic that grows.
        add(
            BESIDE_OTHERS,
            count,
            subscribers=count + 8,
            topics=9,
            solo_topics=8,
            publish_topics=8,
            publishers=8,
            window=8,
            warm_up_rounds=2,
        )
    return found


def run(peers: list[str], rounds: int, seconds: float) -> results.Results:
    """Measure every point on every server, alternating.

    Args:
        peers: Their names.
        rounds: Runs of each.
        seconds: How long each publishes.
    """
    present = [name for name in peers if ALL[name].missing() is None]
    found = results.new("scale", {name: ALL[name].title for name in present}, rounds, seconds)
    found["points"] = []
    for series, at, row in points():
        reports = []
        for number in range(rounds):
            order = present if number % 2 == 0 else present[::-1]
            reports.append({name: measure(ALL[name], row, seconds) for name in order})
        found["points"].append({"series": series, "at": at, "rounds": reports})
        results.write(found)
        shown = ", ".join(f"{name} {_shown(reports, name)}" for name in present)
        print(f"{time.strftime('%H:%M:%S')} {series}: {at:,}: {shown}", file=sys.stderr, flush=True)
    return found


def failed(found: results.Results) -> bool:
    """Tell whether a check failed."""
    return any("error" in report for point in found["points"] for each in point["rounds"] for report in each.values())


def cost(rounds: list[dict[str, Any]], peer: str) -> float | None:
    """Return the median of a point's CPU µs per delivery; None when no run succeeded."""
    values = [each[peer]["cpu_us_per_delivery"] for each in rounds if "cpu_us_per_delivery" in each.get(peer, {})]
    return median(values) if values else None


def _shown(rounds: list[dict[str, Any]], peer: str) -> str:
    value = cost(rounds, peer)
    return "failed" if value is None else significant(value)


def flatness(found: results.Results, goal: Goal, peer: str) -> float | None:
    """Return the ratio that a goal is about; None when a point has no figure or the last ones are missing."""
    counted = [each for each in found["points"] if each["series"] == goal.series and each["at"] >= goal.start]
    values = [cost(each["rounds"], peer) for each in counted]
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(known) < len(values):
        return None
    return max(known) / (known[0] if goal.to_first else min(known))


def render(found: results.Results) -> str:
    """Write the tables of the series, and the goals."""
    peers: list[str] = found["peers"]
    lines = [
        "# How cost grows",
        "",
        f"Generated from the raw results; do not edit. Commit {found['commit']}, {found['date']}, "
        f"{found['machine']['processor']}. CPU µs per delivery, median of {found['rounds']}. "
        f"The machine's limit was {found['machine']['connection_limit']:,} connections.",
        "",
        "![Cost per delivery against connections](scale-connections.svg)",
        "",
        "![Cost per publish against topics](scale-topics.svg)",
        "",
        "![Cost per delivery against the event's size](scale-size.svg)",
    ]
    series = ""
    for point in found["points"]:
        if point["series"] != series:
            series = point["series"]
            lines += ["", f"## {series[0].upper()}{series[1:]}", ""]
            lines += ["| | " + " | ".join(found["titles"][name] for name in peers) + " |"]
            lines += ["|---|" + "---|" * len(peers)]
        lines.append(f"| {point['at']:,} | " + " | ".join(_shown(point["rounds"], name) for name in peers) + " |")
    return "\n".join([*lines, "", *_goals(found)]) + "\n"


def _goals(found: results.Results) -> list[str]:
    lines = ["## Goals", "", "| what | server | goal | found | met |", "|---|---|---|---|---|"]
    for goal in GOALS:
        for peer in found["peers"]:
            value = flatness(found, goal, peer)
            if value is None:
                verdict = "not measured | —"
            elif peer == "floor":
                verdict = f"{value:.2f} | (the machine's own)"
            else:
                verdict = f"{value:.2f} | {'yes' if value <= goal.limit else 'no'}"
            lines.append(f"| {goal.title} | {found['titles'][peer]} | ≤ {goal.limit:g} | {verdict} |")
    return lines
