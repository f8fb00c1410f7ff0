"""The dashboard of a gateway of several nodes: it is opened at one of them, and shows and closes what is on all."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest
from playwright.async_api import expect

from tests.e2e.dashboard import (
    MILLISECONDS,
    NEEDED,
    NODE_TTL_SECONDS,
    Gateway,
    Visit,
    browser,
    events_of,
    gateway,
    traffic,
    visit,
)
from tests.e2e.traffic import Traffic
from tests.redis_server import needs_redis

__all__ = ["browser", "gateway", "traffic", "visit"]

pytestmark = [*NEEDED, needs_redis, pytest.mark.parametrize("gateway", ["redis"], indirect=True)]


async def test_connections_of_all_nodes_are_listed_and_closed_from_one(
    visit: Visit, traffic: Traffic, gateway: Gateway
) -> None:
    for node in gateway.nodes:
        await traffic.subscribe("news", user_agent="stays/1", at=node)
    goes = await traffic.subscribe("news", user_agent="goes/1", at=gateway.nodes[1])
    socket = await traffic.connect("news", user_agent="socket/1", at=gateway.nodes[2])
    page = await visit.open("?view=connections")
    rows = page.get_by_role("row")
    await expect(rows).to_have_count(6)
    await page.get_by_role("button", name="3 nodes").click()
    await expect(page.get_by_text("healthy", exact=True)).to_have_count(3)
    # A node in the list leads to its connections.
    await page.get_by_role("link", name="node-c").click()
    await expect(rows).to_have_count(3)
    await expect(page.get_by_label("Node", exact=True)).to_have_value("node-c")
    await page.keyboard.press("Escape")

    async def close(user_agent: str) -> None:
        await rows.filter(has_text=user_agent).get_by_role("button", name="Close connection").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Close connection").click()

    await close("socket/1")
    await asyncio.wait_for(socket.wait_closed(), MILLISECONDS / 1000)
    assert socket.close_code == 1000
    await expect(rows).to_have_count(2)
    await page.get_by_label("Node", exact=True).select_option("node-b")
    await expect(rows).to_have_count(3)
    await close("goes/1")
    await asyncio.wait_for(goes.closed.wait(), MILLISECONDS / 1000)
    assert b"closed-by-administrator" in goes.received
    await expect(rows).to_have_count(2)
    assert not any(subscriber.closed.is_set() for subscriber in traffic.subscribers if subscriber is not goes)


async def test_a_tail_shows_what_is_published_and_dropped_on_other_nodes(
    visit: Visit, traffic: Traffic, gateway: Gateway
) -> None:
    page = await visit.open("?view=tail&topic=news")
    await expect(page.get_by_text("Live from node-a")).to_be_visible()
    _, second, third = gateway.nodes
    assert not await traffic.publish("news", id="nobody", data="secret", at=second)
    await traffic.subscribe("news", at=third)
    for number in range(10):
        assert await traffic.publish("news", id=f"event-{number}", data="{}", at=(second, third)[number % 2])
    options = events_of(page)
    await expect(options).to_have_count(11)
    await expect(options.nth(0)).to_contain_text("dropped")
    for number in range(10):
        await expect(options.nth(1 + number)).to_contain_text(f"event-{number}")
    # The tail is no connection, and it is the subscriber on the third node that makes the topic exist.
    await page.goto(f"{gateway.url}/dashboard/")
    row = page.get_by_role("row", name="news")
    await expect(row.get_by_role("cell").nth(1)).to_have_text("1")
    await expect(row.get_by_role("cell").nth(2)).to_have_text("node-c")


async def test_a_node_that_is_lost_is_told_of_and_its_connections_go(
    visit: Visit, traffic: Traffic, gateway: Gateway
) -> None:
    doomed = gateway.node("node-d", "daphne")
    await asyncio.to_thread(doomed.start)
    try:
        await traffic.subscribe("news", user_agent="stays/1", at=gateway.nodes[1])
        await traffic.subscribe("news", user_agent="lost/1", at=doomed)
        page = await visit.open("?view=connections")
        await expect(page.get_by_role("row")).to_have_count(3)
        await expect(page.get_by_role("button", name="4 nodes all healthy")).to_be_visible()
        # It does not answer any more, and what it holds is not called zero.
        os.kill(doomed.pid, signal.SIGSTOP)
        lost = page.get_by_role("row").filter(has_text="lost/1")
        await expect(lost).to_have_count(0, timeout=(NODE_TTL_SECONDS + 8) * 1000)
        await expect(page.get_by_role("row")).to_have_count(2)
        await page.get_by_role("button", name=re.compile("^3 nodes, 1 gone.*not all healthy")).click()
        nodes = page.get_by_role("dialog", name="Nodes")
        await expect(nodes.get_by_role("listitem").first).to_contain_text("node-d")
        await expect(nodes.get_by_role("listitem").first).to_contain_text("was shut down, or was lost")
        os.kill(doomed.pid, signal.SIGCONT)
        # It registers again, and so does what it held.
        await expect(nodes.get_by_text("gone", exact=True)).to_have_count(0)
        await expect(lost).to_have_count(1)
    finally:
        os.kill(doomed.pid, signal.SIGCONT)
        await asyncio.to_thread(doomed.stop)
