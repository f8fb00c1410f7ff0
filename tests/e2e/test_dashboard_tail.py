"""The dashboard's tail: what it shows, outlives and withstands."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.dashboard import MILLISECONDS, NEEDED, Gateway, Visit, audit, browser, events_of, gateway, traffic, visit
from tests.e2e.traffic import Traffic
from tests.gateway import RunningGateway

__all__ = ["browser", "gateway", "traffic", "visit"]

pytestmark = NEEDED


async def test_a_tail_shows_published_and_dropped(visit: Visit, traffic: Traffic) -> None:
    page = await visit.open("?view=tail")
    await page.get_by_label("Topic").fill("a topic")
    await page.get_by_role("button", name="Tail").click()
    await expect(page.get_by_role("alert")).to_contain_text("without a comma or a space")
    await page.get_by_label("Topic").fill("news")
    await page.get_by_role("button", name="Tail").click()
    await expect(page.get_by_text(f"Live from {visit.here}")).to_be_visible()
    await expect(page.get_by_text("Waiting for events")).to_be_visible()

    assert not await traffic.publish("news", id="nobody-there", data="secret")
    await traffic.subscribe("news")
    data = '{"name":"Ada","tags":["a","b"],"account":12345678901234567890,"more":{"deep":{"deeper":1}}}'
    assert await traffic.publish("news", "other", id="1", data=data, event="order")
    options = events_of(page)
    await expect(options).to_have_count(2)
    await expect(options.nth(0)).to_contain_text("dropped")
    await expect(options.nth(0)).to_contain_text("nobody-there")

    await options.nth(1).click()
    event = page.get_by_role("region", name="Event")
    await expect(event).to_contain_text('"Ada"')
    await expect(event).to_contain_text("12345678901234567890")
    await expect(event).to_contain_text("other")
    await expect(event).not_to_contain_text("deeper:")
    await event.get_by_role("button", name="deep, 1 member").click()
    await expect(event).to_contain_text("deeper: 1")
    await event.get_by_role("button", name="As sent").click()
    await expect(event.locator("pre")).to_have_text(data)
    assert await audit(page) == []

    # The click has paused the list: the next event waits behind it.
    await traffic.publish("news", id="2", data="later")
    await page.get_by_role("button", name="Resume (1 new)").click()
    await expect(options).to_have_count(3)
    await page.get_by_role("listbox").press("ArrowUp")
    await expect(options.nth(0)).to_have_attribute("aria-selected", "true")
    await expect(event).to_contain_text("no-subscribers")
    await expect(event).not_to_contain_text("secret")

    await page.get_by_label("Filter").fill("ADA")
    await expect(options).to_have_count(1)
    async with page.expect_download() as started:
        await page.get_by_role("button", name="Download what is shown").click()
    download = await started.value
    assert re.fullmatch(r"tail-news-\d{8}T\d{6}Z\.ndjson", download.suggested_filename)
    saved = json.loads(await asyncio.to_thread(Path(await download.path()).read_text, encoding="utf-8"))
    assert {
        "kind": "published",
        "id": "1",
        "event": "order",
        "topics": ["news", "other"],
        "data": data,
    }.items() <= saved.items()
    await page.get_by_label("Filter").fill("")
    await page.get_by_label("Kind of event").select_option("dropped")
    await expect(options).to_have_count(1)
    await expect(options.first).to_contain_text("nobody-there")
    await page.get_by_role("button", name="Clear").click()
    await expect(options).to_have_count(0)


async def test_a_tail_outlives_a_restart_and_a_change_of_key(browser: Browser, gateway: Gateway) -> None:
    if gateway.kind == "worker":
        pytest.skip("not run: the Worker's processes are the platform's; what a node does when it ends is Python's")
    page = await browser.new_page()
    async with AsyncExitStack() as stack:

        async def start(node: RunningGateway) -> RunningGateway:
            stack.push_async_callback(asyncio.to_thread, node.stop)
            return await asyncio.to_thread(node.start)

        first = await start(gateway.node("first", "daphne"))
        visit = Visit(page, first)
        await visit.open("?view=tail&topic=news")
        await expect(page.get_by_text("Live from first")).to_be_visible()
        async with Traffic(first) as traffic:
            await traffic.publish("news", id="before")
        options = events_of(page)
        await expect(options).to_have_count(1)
        await asyncio.to_thread(first.stop)
        await expect(options.nth(1)).to_contain_text("The node shut down.")
        await expect(page.get_by_text("Connecting again")).to_be_visible()

        port = int(first.url.rpartition(":")[2])
        second = await start(gateway.node("second", "uvicorn", port=port))
        await expect(page.get_by_text("Live from second")).to_be_visible()
        await expect(options.nth(2)).to_contain_text("Connected again, to second.")
        async with Traffic(second) as traffic:
            await traffic.publish("news", id="after")
        await expect(options.nth(3)).to_contain_text("after")
        await expect(options.nth(0)).to_contain_text("before")
        # Totals and lists have come back by themselves as well.
        await expect(page.get_by_role("region", name="Totals")).not_to_contain_text("cannot be reached")

        await asyncio.to_thread(second.stop)
        third = await start(replace(gateway, key="another-key").node("third", "daphne", port=port))
        await expect(page.get_by_role("dialog")).to_contain_text("no longer taken")
        await visit.sign_in(third.key)
        await expect(page.get_by_text("Live from third")).to_be_visible()
        async with Traffic(third) as traffic:
            await traffic.publish("news", id="under-another-key")
        await expect(options.last).to_contain_text("under-another-key")
        await expect(options.nth(0)).to_contain_text("before")
        assert page.url.endswith("?view=tail&topic=news")
        visit.check()
    await page.close()


HOSTILE = {
    "html": "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>",
    "rtl": "\u202egnp.exe\u202c and \u05e9\u05dc\u05d5\u05dd",
    "control": "bell\u0007 escape\u001b[31m nul-like\u2400 lines\nand\rmore\ttabs \u2028 \ufeff",
    "json": json.dumps({"__proto__": {"x": "<b>"}, "constructor": "\u202e", "<i>": [None, True, 1.5]}),
    "nested": "[" * 3000 + "]" * 3000,
    "long": "x" * 1_000_000,
    "wide": json.dumps(list(range(40_000))),
}


async def test_hostile_data_is_shown_as_text(visit: Visit, traffic: Traffic) -> None:
    topic = "<img/src=x/onerror=alert(1)>\"'&"
    await traffic.subscribe(topic, user_agent="<script>alert(1)</script>")
    page = await visit.open(f"?view=tail&topic={'%3Cimg%2Fsrc%3Dx%2Fonerror%3Dalert(1)%3E%22%27%26'}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(topic)
    await expect(page.get_by_text(f"Live from {visit.here}")).to_be_visible()
    options = events_of(page)
    for number, (name, data) in enumerate(HOSTILE.items(), start=1):
        await traffic.publish(topic, id=f"{name}<b>", data=data, event="<u>")
        # One by one: the last two together are more than an outbox holds for a browser that is busy.
        await expect(options).to_have_count(number)
    await expect(options.nth(0)).to_contain_text("<img src=x onerror=")
    await expect(options.nth(1)).to_contain_text("⟨U+202E⟩gnp.exe")
    await expect(options.nth(2)).to_contain_text("bell␇ escape␛[31m")
    for index, name in enumerate(HOSTILE):
        await options.nth(index).click()
        event = page.get_by_role("region", name="Event")
        await expect(event).to_contain_text(f"{name}<b>")
        assert await audit(page) == [] if name == "html" else True
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    for view in ("topics", "connections"):
        await page.get_by_role("navigation", name="Views").get_by_role("link", name=view.title()).click()
        await expect(page.get_by_role("row").nth(1)).to_contain_text("<img/src=x/onerror=alert(1)>")
    await page.get_by_role("button", name=re.compile("details$")).click()
    await expect(page.get_by_role("dialog")).to_contain_text("<script>alert(1)</script>")
    assert await page.locator("main img, main script, [role=dialog] script").count() == 0
    assert "owned" not in await page.title()


LONG_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({type: "longtask"});
}"""


async def watch_long_tasks(page: Page) -> None:
    """Have the page note its tasks of 50 ms and more in ``longTasks``; one made for the purpose shows that it does."""
    await page.evaluate(LONG_TASKS)
    # What the debugger evaluates counts as no task, what a timer calls does.
    await page.evaluate(
        "void setTimeout(() => { const end = performance.now() + 100; while (performance.now() < end); })"
    )
    # `wait_for_function` would need `unsafe-eval`, which the page's policy does not allow.
    async with asyncio.timeout(MILLISECONDS / 1000):
        while await page.evaluate("longTasks.length") == 0:
            await asyncio.sleep(0.02)
    await page.evaluate("longTasks.length = 0")


@pytest.mark.slow
async def test_much_at_once_leaves_the_page_responsive(
    visit: Visit, traffic: Traffic, record_property: Callable[[str, object], None]
) -> None:
    names = [f"topic-{number:04}" for number in range(5000)]
    for start in range(0, 5000, 100):
        await traffic.subscribe(*names[start : start + 100])
    page = await visit.open("?limit=500&sort=-rate")
    await expect(page.get_by_role("navigation", name="Pages")).to_contain_text("5,000 topics, page 1 of 10")
    await watch_long_tasks(page)
    await traffic.publish_many("topic-0007", map(str, range(50)))
    await page.wait_for_timeout(15_000)
    topics: list[float] = await page.evaluate("longTasks")

    await page.goto(f"{visit.gateway.url}/dashboard/?view=tail&topic=topic-0001")
    await expect(page.get_by_text(f"Live from {visit.here}")).to_be_visible()
    await watch_long_tasks(page)
    data = json.dumps({"order": 1, "items": [{"sku": "A-1", "quantity": 2}] * 4})
    loop = asyncio.get_running_loop()
    began = loop.time()
    for tenth in range(250):
        await traffic.publish_many("topic-0001", (f"{tenth}-{each}" for each in range(50)), data)
        await asyncio.sleep(max(0.0, began + (tenth + 1) / 10 - loop.time()))
    seconds = loop.time() - began
    await expect(page.get_by_text("10,000 events shown, 12,500 received")).to_be_visible()
    tail: list[float] = await page.evaluate("longTasks")
    await expect(page.get_by_role("option").last).to_contain_text("249-49")
    for name, tasks in (("topics", topics), ("tail", tail)):
        figures = f"{len(tasks)} long tasks, longest {max(tasks, default=0):.0f} ms, together {sum(tasks):.0f} ms"
        record_property(name, figures)
        print(f"{name}: {figures}")
    print(f"{12_500 / seconds:.0f} events/s")
    assert max(topics, default=0) < 500
    assert max(tail, default=0) < 200
