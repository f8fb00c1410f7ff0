"""Figures of several rounds: medians, ratios, and how they are written."""

from statistics import median
from typing import Any

from benchmarks.rows import Figure

Rounds = list[dict[str, Any]]
"""Reports of one row: for each round a mapping from a peer's name to the generator's report."""


def significant(value: float) -> str:
    """Write a figure with three significant digits."""
    if value >= 1_000_000:
        return f"{value / 1e6:.3g} M"
    if value >= 10_000:
        return f"{value / 1e3:.0f} k"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def medians(rounds: Rounds, figure: Figure, peer: str) -> float | None:
    """Return the median of a figure over the rounds that have it."""
    values = [value for each in rounds if (value := figure.of(each.get(peer, {}))) is not None]
    return median(values) if values else None


def ratio(rounds: Rounds, figure: Figure, peer: str, to: str) -> float | None:
    """Return the median of the ratios to another peer, each taken within one round."""
    ratios = []
    for each in rounds:
        ours, theirs = figure.of(each.get(peer, {})), figure.of(each.get(to, {}))
        if ours is not None and theirs:
            ratios.append(ours / theirs)
    return median(ratios) if ratios else None
