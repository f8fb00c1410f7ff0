"""Where this gateway is ahead of each peer, and where it is not: computed, so that nothing is left out."""

from typing import Any

from benchmarks.figures import ratio, significant
from benchmarks.rows import ROWS

GATEWAYS = ("gateway-daphne", "gateway-uvicorn")
AGAINST = ("mercure", "centrifugo", "pushpin", "django-eventstream", "sse-starlette", "channels")


def compare(results: dict[str, Any], server: str, peer: str) -> tuple[int, list[str]]:
    """Compare every figure that both have.

    Args:
        results: As `run.py` writes them.
        server: The gateway's name.
        peer: The other's.

    Returns:
        How many figures both have, and a description of each in which the gateway is behind.
    """
    count, behind = 0, []
    for row_name, rounds in results["rows"].items():
        row = ROWS[row_name]
        for figure in row.figures:
            share = ratio(rounds, figure, server, peer)
            if share is None or share == 0:
                continue
            count += 1
            # How many times the peer's cost (or latency) is ours; below 1 the gateway is ahead.
            worse = 1 / share if figure.more_is_better else share
            if worse > 1:
                behind.append(f"{row.title}, {figure.title} ({significant(worse)} times)")
    return count, behind


def section(results: dict[str, Any]) -> list[str]:
    """Write the section, empty when no such peer ran."""
    peers = [peer for peer in AGAINST if peer in results["peers"]]
    servers = [server for server in GATEWAYS if server in results["peers"]]
    if not peers or not servers:
        return []
    lines = [
        "## Ahead of the peers",
        "",
        "The goal: ahead in every row that the peer can run. Every figure of every row counts, by the median of the",
        "ratios within each round; how many times worse the gateway is stands in parentheses.",
        "",
        "| peer | server | ahead | behind in |",
        "|---|---|---|---|",
    ]
    for peer in peers:
        for server in servers:
            count, behind = compare(results, server, peer)
            told = "; ".join(behind) if behind else "nothing"
            title = results["titles"][server]
            lines.append(f"| {results['titles'][peer]} | {title} | {count - len(behind)} of {count} | {told} |")
    return [*lines, ""]
