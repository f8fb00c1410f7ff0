"""Take the screenshots of the dashboard again: ``python -m tests.e2e.screenshots``.

They go to test-results/screenshots/, and show a real gateway of three nodes with made-up traffic.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import secrets
from collections.abc import Sequence
from contextlib import ExitStack

from playwright.async_api import Browser, Page

from tests.e2e.browser import chromium
from tests.e2e.dashboard import events_of
from tests.e2e.traffic import Traffic
from tests.gateway import ROOT, RunningGateway
from tests.redis_server import RedisServer

DIRECTORY = ROOT / "test-results" / "screenshots"
TOPICS = (
    ("orders.eu", 46, 9),
    ("orders.us", 31, 14),
    ("prices.EURUSD", 120, 25),
    ("prices.BTCUSD", 84, 40),
    ("shipments", 12, 2),
    ("chat:room-1841", 7, 3),
    ("chat:room-1902", 3, 1),
    ("user:5120", 2, 0),
    ("user:7733", 1, 1),
    ("alerts", 18, 0),
    ("deploys", 9, 0),
    ("inventory/warehouse-3", 5, 4),
)
"""Topic, connections, events in a round."""
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "python-httpx/0.28.1",
    "okhttp/4.12.0",
)


def an_order(number: int, chance: random.Random) -> str:
    items = [{"sku": f"A-{chance.randrange(1000, 9999)}", "quantity": chance.randrange(1, 5)} for _ in range(2)]
    total = round(chance.uniform(5, 400), 2)
    return json.dumps({"order": 40_000 + number, "status": "paid", "currency": "EUR", "total": total, "items": items})


async def flow(traffic: Traffic, stop: asyncio.Event) -> None:
    """Publish round after round, each a little different, until told to stop."""
    chance = random.Random(5)
    for number in itertools.count():
        for topic, _, events in TOPICS:
            amount = round(events * chance.uniform(0.3, 1.2))
            await traffic.publish_many(topic, (f"{number}-{each}" for each in range(amount)), an_order(number, chance))
        await traffic.publish("exports", id=f"x-{number}", data="0123456789abcdef" * 20_000)
        if number % 3 == 0:
            await traffic.publish("user:9001", id=f"n-{number}", data="{}")
        if stop.is_set():
            return
        await asyncio.sleep(0.5)


async def take(page: Page, name: str, themes: Sequence[str]) -> None:
    for theme in themes:
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        path = DIRECTORY / f"{name}-{theme}.png"
        await page.screenshot(path=path, animations="disabled")
        print(path.relative_to(ROOT), f"{path.stat().st_size / 1000:.0f} kB")


async def visit(browser: Browser, traffic: Traffic, themes: Sequence[str], width: int, height: int) -> None:
    """Go through the tabs."""
    gateway = traffic.nodes[0]
    context = await browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page = await context.new_page()
    page.set_default_timeout(90_000)
    phone = "-phone" if width < 500 else ""
    await page.goto(f"{gateway.url}/dashboard/?sort=-rate")
    await page.get_by_label("API key").wait_for()
    await take(page, f"sign-in{phone}", themes[:1])
    await page.get_by_label("API key").fill(gateway.key)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("row", name="prices.BTCUSD").wait_for()
    # The sparklines fill within a minute.
    await page.wait_for_timeout(62_000)
    await take(page, f"topics{phone}", themes)
    await page.get_by_role("button", name="3 nodes").click()
    await page.get_by_role("dialog", name="Nodes").wait_for()
    await take(page, f"nodes{phone}", themes[:1])
    await page.keyboard.press("Escape")
    await page.get_by_role("navigation", name="Views").get_by_role("link", name="Connections").click()
    await page.get_by_text("slow for").first.wait_for()
    await take(page, f"connections{phone}", themes)
    await page.get_by_role("row").nth(1).get_by_role("button").first.click()
    await page.get_by_role("dialog").wait_for()
    await take(page, f"connection{phone}", themes[:1])
    await page.keyboard.press("Escape")
    await page.get_by_role("navigation", name="Views").get_by_role("link", name="Tail Events").click()
    await page.get_by_label("Topic", exact=True).fill("payments")
    await page.get_by_role("button", name="Tail").click()
    await page.get_by_text("Live from").wait_for()
    await pay(traffic)
    await events_of(page).nth(15).wait_for()
    if not phone:
        await events_of(page).nth(10).click()
    await take(page, f"tail{phone}", themes)
    await context.close()


async def pay(traffic: Traffic, *, rounds: int = 7) -> None:
    """Publish to the tailed topic; once, nobody is connected."""
    chance = random.Random(3)
    for number in range(rounds):
        subscriber = None if number == 4 else await traffic.subscribe("payments")
        for event in ("authorized", "captured", "message"):
            payment = {
                "payment": f"pay_{number}{chance.randrange(16**6):06x}",
                "amount": {"value": chance.randrange(500, 90_000), "currency": "EUR"},
                "customer": {"id": chance.randrange(1000, 9999), "country": "DE", "tags": ["returning", "newsletter"]},
                "captured": event == "captured",
            }
            await traffic.publish("payments", id=f"{7000 + number}-{event[:3]}", data=json.dumps(payment), event=event)
            await asyncio.sleep(chance.uniform(0.05, 0.3))
        if subscriber is not None:
            await traffic.leave(subscriber)


def nodes(stack: ExitStack) -> list[RunningGateway]:
    """Start three nodes on a Redis of their own."""
    redis = stack.enter_context(RedisServer())
    key = secrets.token_urlsafe(24)
    started = []
    for number in range(3):
        node = RunningGateway(
            ("daphne", "uvicorn", "daphne")[number],
            {"GATEWAY_API_KEYS": key},
            redis_url=redis.url,
            node_name=f"gateway-{number}",
            node_host=f"10.0.3.{17 + number}",
            slow_reader="drop-oldest",
            # Twice as long a client may take nothing before its socket is given up.
            heartbeat_seconds=120,
        )
        node.key = key
        started.append(stack.enter_context(node))
    return started


async def crowd(traffic: Traffic) -> None:
    """Let subscribers come, two of whom read nothing."""
    chance = random.Random(7)
    wanted = [topic for topic, connections, _ in TOPICS for _ in range(connections)]
    chance.shuffle(wanted)
    for number, topic in enumerate(wanted):
        topics = (topic, "alerts") if number % 11 == 4 and topic != "alerts" else (topic,)
        agent = chance.choice(AGENTS)
        if number in {2, 6}:
            await traffic.subscribe("exports", user_agent=agent, slow=True)
        if number % 3 == 2:
            await traffic.connect(*topics, user_agent=agent)
        else:
            await traffic.subscribe(*topics, user_agent=agent)


async def main() -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        gateways = await asyncio.to_thread(nodes, stack)
        async with Traffic(*gateways) as traffic, chromium() as browser:
            while (await traffic.http.get("/ready")).status_code != 200:
                await asyncio.sleep(0.1)
            await crowd(traffic)
            stop = asyncio.Event()
            flowing = asyncio.create_task(flow(traffic, stop))
            await visit(browser, traffic, ("light", "dark"), 1200, 720)
            await visit(browser, traffic, ("light",), 390, 844)
            stop.set()
            await flowing


if __name__ == "__main__":
    asyncio.run(main())
