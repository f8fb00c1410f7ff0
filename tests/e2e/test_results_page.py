"""The page of `make results`, as Chromium shows it from the disk, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.browser import ARGUMENTS, CHROMIUM, needs_chromium
from tests.reporting import kept, page
from tests.reporting.measured import kind, name, runs

pytestmark = needs_chromium


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[tuple[Page, list[str]]]:
    file = tmp_path / "index.html"
    file.write_text(page.render(), encoding="utf-8")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = browser.new_page(offline=True)
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("requestfailed", lambda request: said.append(f"wanted {request.url}"))
        opened.goto(file.as_uri())
        yield opened, said
        browser.close()


def test_it_shows_what_the_repository_keeps_and_needs_nothing_else(shown: tuple[Page, list[str]]) -> None:
    opened, said = shown
    text = opened.inner_text("body")
    committed = kept.read()
    assert committed
    last = {run["target"]: run for run in committed}
    for target, run in last.items():
        assert opened.locator(f"details#{target}").count() == 1
        assert run["commit"] in text or any(each["target"] == target for each in kept.local())
    for file in runs():
        if kind(file) in ("gateway", "peers"):
            assert opened.locator("#pair option", has_text=name(file)).count() >= 1, name(file)
    for long_run in ("chaos", "storm", "autobahn"):
        opened.click(f"details#{long_run} summary")
        assert opened.locator(f"details#{long_run} table").first.is_visible()
    pictures = opened.locator("img")
    assert pictures.count() >= 5
    assert pictures.evaluate_all("all => all.every(each => each.complete && each.naturalWidth > 0)")
    assert said == []


def test_two_runs_lie_side_by_side(shown: tuple[Page, list[str]]) -> None:
    opened, said = shown
    first = opened.inner_text("#pair-table")
    opened.select_option("#pair", index=0)
    chosen = opened.locator("#pair option").nth(0).inner_text()
    heads = opened.locator("#pair-table th").all_inner_texts()
    assert heads[3:5] == chosen.split(" → ")
    assert opened.locator("#pair-table tr").count() > 20
    assert "within noise" in opened.inner_text("#pair-verdicts")
    assert opened.inner_text("#pair-table") != first
    assert said == []
