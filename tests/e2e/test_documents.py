"""README, the tutorials and the Worker's guide, word for word: every command, what it prints, and every page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.documents.page import NOT_RUN
from tests.documents.reader import Reader
from tests.e2e.browser import CHROMIUM
from tests.gateway import ROOT
from tests.worker import WRANGLER

PAGES = [
    *ROOT.glob("README*.md"),
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *(ROOT / "docs" / "zh").glob("*.md"),
    ROOT / "docs" / "how-to" / "cloudflare.md",
]

# Commands that other tests run, and where.
ELSEWHERE = {
    "make test": "it runs this test",
    "cd deploy && GATEWAY_API_KEYS=a-long-secret docker compose up --scale gateway=3": "make deploy-test",
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    person = Reader(tmp_path)
    try:
        yield person
    finally:
        person.close()


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_whoever_follows_the_page_sees_what_it_says(reader: Reader, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if "redis-server" in text and shutil.which("redis-server") is None:
        pytest.skip("not run: redis-server is not installed")
    if "$ make worker" in text and not WRANGLER.exists():
        pytest.skip("not run: the Worker's packages are not installed (make worker)")
    reader.follow(page, frozenset(ELSEWHERE))
    if "```html" in text and not CHROMIUM.exists():
        pytest.skip(NOT_RUN)


def test_the_lines_that_make_run_prints_can_be_pasted(reader: Reader) -> None:
    gateway = reader.run("make run", "gateway")
    lines = dict(re.findall(r"^(Subscribe|Publish|Dashboard): +(.*)$", gateway.text, re.MULTILINE))
    subscriber = reader.run(lines["Subscribe"], "subscriber")
    subscriber.shows(re.compile("gateway.open"))
    assert '"subscribers"' in reader.once(lines["Publish"])
    subscriber.shows(re.compile("^data: Hello$", re.MULTILINE))
    assert httpx.get(lines["Dashboard"], trust_env=False).status_code == 200
