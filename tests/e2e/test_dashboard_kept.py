"""The dashboard and topics that keep events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.e2e.dashboard import KINDS, NEEDED, Gateway, Visit, audit, browser, events_of, gateway_of, traffic, visit
from tests.e2e.traffic import Traffic

__all__ = ["browser", "traffic", "visit"]

pytestmark = NEEDED


@pytest.fixture(scope="module", params=KINDS)
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway of its own: what it keeps stays in the list of topics."""
    with gateway_of(request.param, history="kept/*=50") as made:
        yield made


async def test_a_tail_begins_with_kept_events_and_goes_on_live(visit: Visit, traffic: Traffic) -> None:
    for number in range(1, 31):
        assert await traffic.publish("kept/tail", id=f"id-{number:02}", data=f"data {number}")
    page = await visit.open("?view=tail&topic=kept%2Ftail")
    await expect(page.get_by_text(f"Live from {visit.here}")).to_be_visible()
    options = events_of(page)
    await expect(page.get_by_text("Waiting for events")).to_be_visible()

    await page.get_by_label("Begin with").select_option("10")
    await expect(options).to_have_count(10)
    await expect(options.first).to_contain_text("id-21")
    await expect(options.first).to_contain_text("kept")
    await traffic.publish("kept/tail", id="id-31", data="just now")
    await expect(options).to_have_count(11)
    await expect(options.last).to_contain_text("just now")
    await expect(options.last).not_to_contain_text("kept")
    assert await audit(page) == []

    # The address says with what it begins, so it can be sent to a colleague.
    assert "last=10" in page.url
    await page.reload()
    await expect(options).to_have_count(10)
    await expect(options.first).to_contain_text("id-22")

    await page.get_by_label("Begin with").select_option("0")
    await expect(page.get_by_text("Waiting for events")).to_be_visible()
    assert "last=" not in page.url


async def test_a_topic_that_keeps_events_is_listed_and_leads_to_them(visit: Visit, traffic: Traffic) -> None:
    for number in range(1, 61):
        assert await traffic.publish("kept/listed", id=str(number), data="x")
    page = await visit.open("?q=listed")
    row = page.get_by_role("row").filter(has_text="kept/listed")
    await expect(row).to_contain_text("idle")
    kept = row.get_by_title("Tail, beginning with the last 100 kept events")
    # It keeps fifty of the sixty.
    await expect(kept).to_have_text("50")
    await expect(row).to_contain_text("60")
    assert await audit(page) == []
    await traffic.subscribe("kept/listed")
    await expect(row).not_to_contain_text("idle")

    await kept.click()
    await expect(page.get_by_label("Begin with")).to_have_value("100")
    await expect(page.get_by_text("50 events shown, 50 received")).to_be_visible()


async def test_a_topic_that_keeps_nothing_says_so_when_it_is_asked_to_begin_with_it(
    visit: Visit, traffic: Traffic
) -> None:
    page = await visit.open("?view=tail&topic=news&last=100")
    await expect(page.get_by_text("The topic keeps no event that could come first.")).to_be_visible()
    await traffic.subscribe("news")
    await traffic.publish("news", id="1", data="live")
    await expect(events_of(page).last).to_contain_text("live")
