"""One page of all results: ``python -m tests.reporting.page`` (`make results`). It needs no server and no network."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from tests.reporting import benchmarks_part, tests_part
from tests.reporting.html import Markup, join, tag

PAGE = machine.ROOT / "build" / "results" / "index.html"
_HERE = Path(__file__).parent
_PARTS = (
    ("tests", "Tests"),
    ("long-runs", "Long runs"),
    ("peers", "Beside other servers"),
    ("trends", "Trends"),
    ("side-by-side", "Two runs"),
    ("newest", "Newest runs"),
)


def render() -> str:
    """Write the page."""
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from commit {machine.commit()}."
    head = join(
        [
            Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<link rel="icon" href="data:,">'),
            tag("title", "SSE gateway: results"),
            tag("style", Markup((_HERE / "page.css").read_text("utf-8"))),
        ]
    )
    body = [
        tag("h1", "SSE gateway: what was tested and measured"),
        tag("nav", *[tag("a", words, href=f"#{part}") for part, words in _PARTS]),
        tag("p", made, kind="muted"),
        tests_part.render(),
        benchmarks_part.render(),
        tag("script", Markup((_HERE / "page.js").read_text("utf-8"))),
    ]
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', *body), lang='en')}\n"


def main() -> int:
    """Write the page to `PAGE`, and say where it is."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
    print(f"The results are in {PAGE.relative_to(machine.ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
