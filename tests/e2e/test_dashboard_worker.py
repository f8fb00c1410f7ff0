"""The same build of the dashboard, served by the Cloudflare Worker from its objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.e2e.dashboard import NEEDED, Visit, browser, events_of
from tests.e2e.traffic import Traffic
from tests.worker import WRANGLER, RunningWorker

__all__ = ["browser"]

pytestmark = [
    *NEEDED,
    pytest.mark.skipif(not WRANGLER.exists(), reason="not run: the Worker's packages are not installed (make worker)"),
]


@pytest.fixture(scope="module")
def worker() -> Iterator[RunningWorker]:
    with RunningWorker(retry_ms=200) as worker:
        yield worker
        assert worker.errors == []


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser, worker: RunningWorker) -> AsyncIterator[Visit]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    visit = Visit(await context.new_page(), worker)
    visit.page.set_default_timeout(15_000)
    yield visit
    visit.check()
    await context.close()


async def test_topics_connections_and_tail_come_from_the_objects(visit: Visit, worker: RunningWorker) -> None:
    async with Traffic(worker) as traffic:
        await traffic.subscribe("orders", "prices")
        await traffic.connect("orders")
        page = await visit.open()
        orders = page.get_by_role("row", name="orders")
        await expect(orders.get_by_role("cell").nth(1)).to_have_text("2")
        await expect(orders).to_contain_text("multicast")

        await page.get_by_role("navigation", name="Views").get_by_text("Connections").click()
        await expect(page.get_by_role("row")).to_have_count(3)

        await page.goto(f"{worker.url}/dashboard/?view=tail&topic=orders")
        await expect(page.get_by_text("Live from")).to_be_visible()
        await traffic.publish("orders", id="42", data="hello from an object")
        await expect(events_of(page)).to_have_count(1)
        await expect(events_of(page).first).to_contain_text("42")
