"""The little of SVG that the plots need; one file reads well on a light and on a dark page."""

import itertools
import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

# The picture brings its own background: it may stand on a page of the other kind.
_STYLE = """
svg { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; }
.page { fill: #ffffff; } .text { fill: #24292f; } .muted { fill: #57606a; } .strong { font-weight: 600; }
.grid { stroke: #d0d7de; } .other { fill: #8c959f; stroke: #8c959f; } .floor { fill: #57606a; stroke: #57606a; }
.nchan { fill: #bc4c00; stroke: #bc4c00; }
.daphne { fill: #0550ae; stroke: #0550ae; } .uvicorn { fill: #218bff; stroke: #218bff; }
text.other, text.floor, text.nchan, text.daphne, text.uvicorn { stroke: none; }
path { fill: none !important; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; } .text { fill: #e6edf3; } .muted { fill: #9198a1; } .grid { stroke: #30363d; }
  .other { fill: #7d8590; stroke: #7d8590; } .floor { fill: #b1bac4; stroke: #b1bac4; }
  .nchan { fill: #f0883e; stroke: #f0883e; }
  .daphne { fill: #388bfd; stroke: #388bfd; } .uvicorn { fill: #a5d6ff; stroke: #a5d6ff; }
}
"""


class Drawing:
    """A picture.

    Args:
        width: In pixels.
        height: In pixels.
        title: What it shows, for those who do not see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "text", anchor: str = "start") -> None:
        """Write; `y` is the line that letters stand on."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid", width: float = 1) -> None:
        """Draw a straight line."""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}" stroke-width="{width:g}"/>'
        )

    def dot(self, x: float, y: float, kind: str, radius: float = 4) -> None:
        """Draw a point."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>')

    def curve(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Join points by straight lines."""
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._parts.append(f'<path d="M{path}" class="{kind}" stroke-width="2" stroke-linejoin="round"/>')

    def __str__(self) -> str:
        width, height = self._size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img">\n<title>{escape(self._title)}</title>\n<style>{_STYLE}</style>\n'
            f'<rect width="{width:g}" height="{height:g}" rx="6" class="page"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


class Scale:
    """Maps values to pixels.

    Args:
        low: Smallest value shown.
        high: Largest value shown.
        start: Pixel of the smallest.
        end: Pixel of the largest.
        logarithmic: Whether each decade takes as much room as the next.
    """

    def __init__(self, low: float, high: float, start: float, end: float, *, logarithmic: bool) -> None:
        self._logarithmic = logarithmic
        self._low, self._high = self._of(low), self._of(high)
        self._start, self._end = start, end
        self._values = (low, high)

    def _of(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (self._of(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Return the values to mark: each decade, or about five round steps."""
        low, high = self._values
        if self._logarithmic:
            return [10.0**power for power in range(math.ceil(self._low - 1e-9), math.floor(self._high + 1e-9) + 1)]
        rough = (high - low) / 5
        step = 10 ** math.floor(math.log10(rough))
        step = next(step * factor for factor in (1, 2, 5, 10) if step * factor >= rough)
        return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decades(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def apart(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Move places of labels apart.

    Args:
        places: Where they would be best.
        distance: That they keep, at least.
        low: The smallest place allowed.
        high: The largest place allowed.

    Returns:
        New places in the order of the old ones.
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = [max(low, min(high, place)) for place in places]
    for before, after in itertools.pairwise(order):
        moved[after] = max(moved[after], moved[before] + distance)
    overflow = max([moved[last] for last in order[-1:]], default=high) - high
    if overflow > 0:
        limit = high
        for each in reversed(order):
            moved[each] = min(moved[each], limit)
            limit = moved[each] - distance
    return moved
