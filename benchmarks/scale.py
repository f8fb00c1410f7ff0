"""How cost grows with connections, topics and size (`make bench-scale`)."""

import sys
import time
from datetime import UTC, datetime
from typing import Any

from benchmarks import machine
from benchmarks.measurement import measure
from benchmarks.peers import ALL
from benchmarks.rows import Row
from benchmarks.table import significant

CONNECTIONS = (1, 10, 100, 1000, 5000, 10_000, 15_000)
TOPICS = (10, 100, 1000, 10_000)
SIZES = (10, 100, 1000, 10_000, 100_000)
SIZE_CONNECTIONS = 100


def points() -> list[tuple[str, int, Row]]:
    """Return every point: the name of its series, its place in it and the run."""
    limit = machine.connection_limit()
    found: list[tuple[str, int, Row]] = []

    def add(series: str, at: int, **settings: Any) -> None:
        if settings["subscribers"] <= limit:
            found.append((series, at, Row(f"{series}-{at}", "", {"mode": "deliver", **settings}, ())))

    for count in CONNECTIONS:
        add("connections, one topic, one event at a time", count, subscribers=count)
    for count in TOPICS:
        # One delivery is one publish here: the whole path must not know how many topics there are.
        add(
            "topics of one connection each, published to in turn; 8 publishers, 8 events in flight",
            count,
            subscribers=count,
            topics=count,
            publishers=8,
            window=8,
            warm_up_rounds=2,
        )
    for size in SIZES:
        add(
            f"event size in bytes, {SIZE_CONNECTIONS} connections, one event at a time",
            size,
            subscribers=SIZE_CONNECTIONS,
            size=size,
        )
    for count in (1, 100, 1000, 10_000):
        # Events go to the one topic with one subscriber only.
        add(
            "connections of other topics, beside one topic with one subscriber that is published to",
            count,
            subscribers=count + 1,
            topics=2,
            solo_topics=1,
            publish_topics=1,
            publishers=1,
        )
    return found


def run(peers: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Measure every point on every server, alternating.

    Args:
        peers: Their names.
        rounds: Runs of each.
        seconds: How long each publishes.
    """
    present = [name for name in peers if ALL[name].missing() is None]
    results: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.description(),
        "rounds": rounds,
        "seconds": seconds,
        "peers": present,
        "titles": {name: ALL[name].title for name in present},
        "points": [],
    }
    for series, at, row in points():
        reports = []
        for number in range(rounds):
            order = present if number % 2 == 0 else present[::-1]
            reports.append({name: measure(ALL[name], row, seconds) for name in order})
        results["points"].append({"series": series, "at": at, "rounds": reports})
        shown = ", ".join(f"{name} {_value(reports, name)}" for name in present)
        print(f"{time.strftime('%H:%M:%S')} {series}: {at:,}: {shown}", file=sys.stderr, flush=True)
    return results


def failed(results: dict[str, Any]) -> bool:
    """Tell whether a check failed."""
    return any("error" in report for point in results["points"] for each in point["rounds"] for report in each.values())


def _value(rounds: list[dict[str, Any]], peer: str) -> str:
    found = sorted(each[peer]["cpu_us_per_delivery"] for each in rounds if "cpu_us_per_delivery" in each[peer])
    return significant(found[len(found) // 2]) if found else "failed"


def render(results: dict[str, Any]) -> str:
    """Write the tables of the series."""
    peers: list[str] = results["peers"]
    lines = [
        "# How cost grows",
        "",
        f"Generated from the raw results; do not edit. Commit {results['commit']}, {results['date']}, "
        f"{results['machine']['processor']}. CPU µs per delivery, median of {results['rounds']}. "
        f"The machine's limit was {results['machine']['connection_limit']:,} connections.",
    ]
    series = ""
    for point in results["points"]:
        if point["series"] != series:
            series = point["series"]
            lines += ["", f"## {series[0].upper()}{series[1:]}", ""]
            lines += ["| | " + " | ".join(results["titles"][name] for name in peers) + " |"]
            lines += ["|---|" + "---|" * len(peers)]
        lines.append(f"| {point['at']:,} | " + " | ".join(_value(point["rounds"], name) for name in peers) + " |")
    return "\n".join(lines) + "\n"
