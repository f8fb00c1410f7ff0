"""The little of HTML that the page needs: everything is escaped, unless it is `Markup` already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape, unless it is HTML already; nothing stays empty."""
    if isinstance(value, Markup):
        return value
    return Markup(escape("" if value is None else str(value)))


def tag(name: str, *content: object, **attributes: str) -> Markup:
    """Make an element; `kind` stands for its class."""
    inside = "".join(f' {key.replace("kind", "class")}="{escape(value)}"' for key, value in attributes.items() if value)
    return Markup(f"<{name}{inside}>{join(content)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Put parts together."""
    return Markup(between.join(text(part) for part in parts))


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """Make a table; cells that begin with a digit stand on the right."""
    body = []
    for row in rows:
        cells = (tag("td", cell, kind="number" if str(cell)[:1].isdigit() else "") for cell in row)
        body.append(tag("tr", *cells))
    head = tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heads)))
    return tag("div", tag("table", head, tag("tbody", *body)), kind="wide")
