"""The dashboard's sign-in, topics and connections; its accessibility and its themes."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from playwright.async_api import Page, expect

from tests.e2e.dashboard import (
    MILLISECONDS,
    NEEDED,
    Gateway,
    Visit,
    audit,
    browser,
    events_of,
    gateway,
    row_ids,
    traffic,
    visit,
)
from tests.e2e.traffic import Traffic

__all__ = ["browser", "gateway", "traffic", "visit"]

pytestmark = NEEDED


async def test_a_wrong_key_is_told_and_the_right_one_is_kept(visit: Visit) -> None:
    page = await visit.open(signed_in=False)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("Paste the API key first.")
    await visit.sign_in("ключ")
    await expect(page.get_by_role("alert")).to_contain_text("visible ASCII")
    await visit.sign_in("wrong")
    await expect(page.get_by_role("alert")).to_contain_text("does not take this key")
    assert await page.evaluate("Object.values(localStorage)") == []

    await visit.sign_in(f" {visit.gateway.key}\n")
    await expect(page.get_by_role("heading", name="Topics")).to_be_visible()
    assert await page.evaluate("Object.values(localStorage)") == [visit.gateway.key]
    assert await page.context.cookies() == []
    await page.reload()
    await expect(page.get_by_text("No topic exists now")).to_be_visible()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await page.evaluate("Object.values(localStorage)") == []


async def test_a_key_that_expires_is_asked_for_again_and_the_page_stays(visit: Visit, traffic: Traffic) -> None:
    await traffic.subscribe("news")
    page = await visit.open("?view=connections&transport=sse")
    await expect(page.get_by_role("row")).to_have_count(2)
    # Another tab of this browser stores a key that the gateway does not take.
    other = await page.context.new_page()
    await other.goto(f"{visit.gateway.url}/dashboard/")
    await other.evaluate("localStorage.setItem('sse-gateway.key', 'expired')")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("no longer taken")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    assert await audit(page) == []
    await visit.sign_in(visit.gateway.key)
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("row")).to_have_count(2)
    assert page.url.endswith("?view=connections&transport=sse")


async def test_topics_show_what_exists_and_lead_on(visit: Visit, traffic: Traffic) -> None:
    await traffic.subscribe("orders", "prices")
    await traffic.subscribe("orders")
    await traffic.connect("alerts")
    page = await visit.open()
    orders = page.get_by_role("row", name="orders")
    await expect(orders.get_by_role("cell").nth(1)).to_have_text("2")
    await expect(orders).to_contain_text("multicast")
    await expect(orders).to_contain_text(visit.here)
    await expect(orders).to_contain_text("none yet")

    await traffic.publish_many("orders", (f"order-{number}" for number in range(40)))
    await expect(orders.get_by_role("cell").nth(3)).to_have_text("40")
    await expect(orders).to_contain_text("order-39")
    await expect(orders.get_by_role("cell").nth(5)).to_have_text(re.compile(r"^[0-9.]*[1-9][0-9.]*$"))

    await page.get_by_role("button", name="Connections", exact=True).click()
    names = page.locator("tbody tr td:first-child a")
    await expect(names).to_have_text(["orders", "alerts", "prices"])
    assert "sort=-connections" in page.url
    await page.get_by_label("Search topics").fill("r")
    await expect(names).to_have_text(["orders", "alerts", "prices"])
    await page.get_by_label("Search topics").fill("pri")
    await expect(names).to_have_text(["prices"])
    await page.get_by_label("Search topics").fill("nothing like it")
    await page.get_by_role("button", name="Clear the search").click()
    await expect(names).to_have_count(3)

    await page.get_by_role("link", name="Tail of orders").click()
    await expect(page.get_by_role("heading", name="Tail of orders")).to_be_visible()
    await page.go_back()
    await page.get_by_role("link", name="orders", exact=True).click()
    await expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    await expect(page.get_by_role("row")).to_have_count(3)


async def test_pages_of_1200_connections_show_each_once(visit: Visit, traffic: Traffic) -> None:
    await traffic.subscribe_many(("crowd", f"seat-{number}") for number in range(1200))
    of_seat = {subscriber.topics[1]: subscriber.id for subscriber in traffic.subscribers}
    page = await visit.open("?view=connections")
    summary = page.get_by_role("navigation", name="Pages")
    seen: list[str] = []
    for number in range(1, 13):
        await expect(summary).to_contain_text(f"1,200 connections, page {number} of 12")
        await expect(page.locator("tbody tr")).to_have_count(100)
        await until_new(page, seen)
        seen += await row_ids(page)
        if number < 12:
            await page.get_by_role("button", name="Next page").click()
    assert len(seen) == 1200
    assert set(seen) == set(of_seat.values())
    await expect(page.get_by_role("button", name="Next page")).to_be_disabled()

    # The page is in the address, and the way back in the browser's history: both outlive a reload.
    await page.reload()
    await expect(summary).to_contain_text("page 12 of 12")
    await expect(page.locator("tbody tr")).to_have_count(100)
    assert await row_ids(page) == seen[1100:]
    await page.get_by_role("button", name="Previous page").click()
    await expect(summary).to_contain_text("page 11 of 12")
    await expect(page.locator(f"[title='{seen[1000]}']")).to_be_visible()
    await page.get_by_role("button", name="First page").click()
    await expect(summary).to_contain_text("page 1 of 12")
    await expect(page.get_by_role("button", name="First page")).to_be_disabled()

    # Of 500 rows only those in view are in the page; the table says how many there are.
    await page.get_by_label("Rows a page").select_option("500")
    await expect(summary).to_contain_text("page 1 of 3")
    table = page.locator("[role=region][aria-label=Connections]")
    await expect(table).to_have_attribute("aria-busy", "false")
    assert await page.locator("tbody tr").count() < 120
    await table.evaluate("table => table.scrollTo(0, table.scrollHeight)")
    await expect(page.locator(f"[title='{seen[499]}']")).to_be_visible()
    await page.get_by_role("button", name="Next page").click()
    await expect(page.locator(f"[title='{seen[500]}']")).to_be_in_viewport()

    await page.get_by_label("Topic (its whole name)").fill("seat-77")
    await expect(page.get_by_role("row")).to_have_count(2)
    await expect(page.locator(f"[title='{of_seat['seat-77']}']")).to_be_visible()
    await page.get_by_label("Transport").select_option("websocket")
    await expect(page.get_by_text("No connection matches")).to_be_visible()


async def until_new(page: Page, seen: list[str]) -> None:
    """Wait until the rows shown are those of another page than the last one seen."""
    if seen:
        await expect(page.locator(f"[title='{seen[-1]}']")).to_have_count(0)


async def test_an_address_with_a_cursor_of_another_list_says_what_to_do(visit: Visit) -> None:
    page = await visit.open("?view=connections&cursor=nonsense")
    visit.complaints = [line for line in visit.complaints if "status of 400" not in line]
    await expect(page.get_by_role("alert")).to_contain_text("cursor")
    await page.get_by_role("button", name="Show the first page of all").click()
    await expect(page.get_by_text("Nobody is connected now")).to_be_visible()
    visit.complaints = [line for line in visit.complaints if "status of 400" not in line]


async def test_closing_a_connection_asks_first_and_the_client_sees_it(visit: Visit, traffic: Traffic) -> None:
    stays = await traffic.subscribe("news", user_agent="stays/1")
    goes = await traffic.subscribe("news", user_agent="goes/1")
    page = await visit.open("?view=connections")
    row = page.get_by_role("row").filter(has_text="goes/1")
    await row.get_by_role("button", name="Close connection").click()
    question = page.get_by_role("alertdialog")
    assert await audit(page) == []
    await question.get_by_role("button", name="Keep it").click()
    await expect(question).to_be_hidden()
    assert not goes.closed.is_set()

    await row.get_by_role("button", name=re.compile("details$")).click()
    await expect(page.get_by_role("dialog")).to_contain_text("goes/1")
    await page.get_by_role("button", name="Close this connection").click()
    await question.get_by_role("button", name="Close connection").click()
    await asyncio.wait_for(goes.closed.wait(), MILLISECONDS / 1000)
    assert b"closed-by-administrator" in goes.received
    await expect(row).to_have_count(0)
    await expect(page.get_by_role("row")).to_have_count(2)
    await expect(page.get_by_text("is closed.")).to_be_visible()
    assert not stays.closed.is_set()


async def test_slow_readers_are_marked_and_quick_ones_are_not(visit: Visit, traffic: Traffic) -> None:
    await traffic.subscribe("news", user_agent="quick/1")
    await traffic.subscribe("news", user_agent="slow/1", slow=True)
    page = await visit.open("?view=connections")
    # More than the sockets' buffers hold: what is left waits in the gateway.
    for number in range(20):
        await traffic.publish("news", id=str(number), data="x" * 1_000_000)
    slow = page.get_by_role("row").filter(has_text="slow/1")
    await expect(slow.get_by_role("cell").nth(7)).to_have_text(re.compile(r"^slow for \d+s[\d.]+ [kM]B$"))
    await expect(page.get_by_role("row").filter(has_text="quick/1").get_by_role("cell").nth(7)).to_have_text("0")
    await slow.get_by_role("button", name=re.compile("details$")).click()
    await expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"Behind for\s*\d+s, since 20"))
    assert await audit(page) == []


async def test_axe_finds_nothing_serious(visit: Visit, traffic: Traffic, gateway: Gateway) -> None:
    await visit.page.emulate_media(color_scheme="light" if gateway.kind == "memory" else "dark")
    page = await visit.open(signed_in=False)
    assert await audit(page) == []
    await visit.sign_in(visit.gateway.key)
    await expect(page.get_by_text("No topic exists now")).to_be_visible()
    assert await audit(page) == []
    await traffic.subscribe("news", "prices", user_agent="curl/8.4.0")
    await traffic.connect("news")
    await traffic.publish("news", id="1", data="{}")
    await expect(page.get_by_role("row")).to_have_count(3)
    assert await audit(page) == []
    await page.get_by_role("button", name=re.compile("^[0-9] node")).click()
    await expect(page.get_by_text("healthy", exact=True)).to_have_count(len(gateway.nodes))
    assert await audit(page) == []
    await page.keyboard.press("Escape")
    await page.get_by_role("navigation", name="Views").get_by_role("link", name="Connections").click()
    await expect(page.get_by_role("row")).to_have_count(3)
    assert await audit(page) == []
    await page.get_by_role("button", name=re.compile("details$")).first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await audit(page) == []
    await page.keyboard.press("Escape")
    await page.get_by_role("navigation", name="Views").get_by_role("link", name="Tail Events").click()
    await expect(page.get_by_role("link", name="prices")).to_be_visible()
    assert await audit(page) == []
    await page.get_by_role("link", name="news").click()
    await expect(page.get_by_text(f"Live from {visit.here}")).to_be_visible()
    await traffic.publish("news", id="2", data='{"a":[1,"b",null]}', event="price")
    await traffic.publish("gone", "news", id="3", data="text")
    await events_of(page).first.click()
    assert await audit(page) == []


TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll("[role=region], [role=listbox]")]
  .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.outerHTML.slice(0, 200))"""


async def test_a_phone_shows_all_without_scrolling_sideways(visit: Visit, traffic: Traffic) -> None:
    await visit.page.set_viewport_size({"width": 360, "height": 740})
    topic = "a.topic.with.a.rather.long.name.that.does.not.fit.on.a.phone"
    await traffic.subscribe(topic, user_agent="x" * 300)
    await traffic.subscribe(topic, "another", user_agent="slow/1", slow=True)
    for number in range(8):
        await traffic.publish(topic, id=str(number), data="x" * 1_000_000)
    page = await visit.open()
    for view, there in (("topics", "row"), ("connections", "row"), ("tail", "link")):
        await page.goto(f"{visit.gateway.url}/dashboard/?view={view}")
        await expect(page.get_by_role(cast("Any", there)).last).to_be_visible()
        if view == "connections":
            await expect(page.get_by_title("A slow reader")).to_be_visible()
        assert await page.evaluate(TOO_WIDE) == [], view
    await page.goto(f"{visit.gateway.url}/dashboard/?view=tail&topic=news")
    await expect(page.get_by_text(f"Live from {visit.here}")).to_be_visible()
    await traffic.publish("news", id="1" * 200)
    await events_of(page).click()
    assert await page.evaluate(TOO_WIDE) == []


async def test_the_theme_is_kept(visit: Visit) -> None:
    page = await visit.open()
    await page.get_by_role("button", name="Theme").press("Enter")
    await page.get_by_role("menuitemradio", name="Dark").click()
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
