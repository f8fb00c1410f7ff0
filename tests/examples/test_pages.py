"""The pages of examples/browser in a real Chromium, with a real gateway and their own server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.browser import chromium, needs_chromium, served
from tests.examples.stage import Call, Stage
from tests.gateway import ROOT, RunningGateway, inherited_environment, migrate

pytestmark = [*needs_chromium, pytest.mark.asyncio(loop_scope="module")]
PAGES = ROOT / "examples" / "browser"
MILLISECONDS = 20_000
SCRIPT = '<img src=x onerror="window.broken = true">'

expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with RunningGateway(retry_ms=200, history="kept.*=1000", outbox_events=64) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with served(PAGES) as url:
        yield url


@pytest.fixture(scope="module")
def own_server(gateway: RunningGateway) -> Iterator[str]:
    """The pages' own server, as a user starts it; its address leads to the first page."""
    settings = {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": gateway.key, "PORT": "0"}
    program = subprocess.Popen(
        [sys.executable, str(PAGES / "server.py")],
        env=inherited_environment() | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert program.stdout is not None
    try:
        yield program.stdout.readline().strip()
    finally:
        program.terminate()
        program.wait(10)
        program.stdout.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that never throws."""
    async with await browser.new_context() as context:
        page = await context.new_page()
        thrown: list[str] = []
        page.on("pageerror", lambda error: thrown.append(str(error)))
        yield page
        assert thrown == []


def publish(gateway: RunningGateway, topics: str, data: str, event: str = "message", id: str = "") -> None:
    """Publish an event that somebody gets."""
    headers = {"authorization": f"Bearer {gateway.key}", "x-sse-topic": topics, "x-sse-event": event}
    headers["x-sse-id"] = id or str(uuid.uuid4())
    answer = httpx.post(f"{gateway.url}/publish", content=data.encode(), headers=headers, trust_env=False)
    assert answer.status_code == 200, answer


async def close_connections(gateway: RunningGateway, topic: str) -> None:
    """Close all connections of a topic, as an administrator."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as http:
        http.headers["authorization"] = f"Bearer {gateway.key}"
        listed = await http.get("/api/v1/connections", params={"topic": topic})
        for each in listed.json()["items"]:
            assert (await http.delete(f"/api/v1/connections/{each['id']}")).status_code == 204


async def test_sse(gateway: RunningGateway, pages: str, page: Page) -> None:
    await page.goto(f"{pages}/sse.html?gateway={gateway.url}&topic=news,sport&types=order")
    await expect(page.locator("#state")).to_have_text("open")
    publish(gateway, "news", SCRIPT, id="1")
    publish(gateway, "sport,elsewhere", "two\nlines, 世界", "order", id="2")
    rows = page.locator("#events tr")
    await expect(rows.nth(1).locator("td")).to_have_text(["news", "1", "message", SCRIPT])
    await expect(rows.nth(0).locator("td")).to_have_text(["sport, elsewhere", "2", "order", "two\nlines, 世界"])
    assert await page.evaluate("window.broken") is None


async def test_websocket(gateway: RunningGateway, pages: str, page: Page) -> None:
    await page.goto(f"{pages}/websocket.html?gateway={gateway.url}&topic=kept.a")
    await expect(page.locator("#state")).to_have_text("open")
    await page.fill("#topic", "kept.b")
    await page.click("text=Subscribe >> nth=0")
    await expect(page.locator("#topics")).to_have_text("kept.a, kept.b")
    publish(gateway, "kept.b", "of b", id="b-1")
    await expect(page.locator("#events tr").first.locator("td")).to_have_text(["kept.b", "b-1", "message", "of b"])
    await page.click("text=Unsubscribe")
    await expect(page.locator("#topics")).to_have_text("kept.a")
    publish(gateway, "kept.a", "of a", id="a-1")
    await expect(page.locator("#events tr").first.locator("td")).to_have_text(["kept.a", "a-1", "message", "of a"])
    # It comes back by itself, with its last id.
    await close_connections(gateway, "kept.a")
    publish(gateway, "kept.a", "meanwhile", id="a-2")
    await expect(page.locator("#events tr").first.locator("td")).to_have_text(["kept.a", "a-2", "message", "meanwhile"])
    await expect(page.locator("#events tr.notice").first).to_contain_text("closed-by-administrator")
    await page.fill("#topic", "two words")
    await page.click("text=Subscribe >> nth=0")
    await expect(page.locator("#events tr").first).to_contain_text("error")


async def test_a_websocket_that_fell_silent_is_given_up(pages: str, page: Page) -> None:
    def silent(call: Call) -> None:
        call.begin()
        call.event("1")
        call.hold()

    with Stage(silent) as stage:
        await page.goto(f"{pages}/websocket.html?gateway={stage.url}&topic=t&ask=0.3")
        await expect(page.locator("#events tr")).to_have_count(2)
        assert stage.calls[1].last_event_id == "1"
        await page.goto("about:blank")


@pytest.mark.parametrize("name", ["sse", "chat", "chart", "log"])
async def test_an_answer_that_is_no_stream_is_not_the_end(pages: str, page: Page, name: str) -> None:
    def busy(call: Call) -> None:
        call.answer(503, {"status": 503}, {"access-control-allow-origin": "*"})

    def open_(call: Call) -> None:
        call.begin()
        call.hold()

    with Stage(busy, open_) as stage:
        await page.goto(f"{pages}/{name}.html?gateway={stage.url}")
        await expect(page.locator("#state")).to_have_text(re.compile("^(open|connected)$"))
        await page.goto("about:blank")


async def test_chat_of_two_pages(gateway: RunningGateway, own_server: str, page: Page) -> None:
    other = await page.context.new_page()
    for each, name in ((page, "Ada"), (other, "Grace")):
        await each.goto(own_server)
        await each.click("text=Chat")
        await expect(each.locator("#state")).to_have_text("connected")
        await each.fill("#name", name)
        # Neither the page nor what it loads has the key.
        assert gateway.key not in await each.content()
    await page.fill("#text", f"Hello {SCRIPT}")
    await page.press("#text", "Enter")
    await expect(other.locator("#messages li")).to_have_text(["Ada" + f"Hello {SCRIPT}"])
    await other.fill("#text", "世界")
    await other.press("#text", "Enter")
    for each in (page, other):
        await expect(each.locator("#messages li")).to_have_text(["Ada" + f"Hello {SCRIPT}", "Grace" + "世界"])
        assert await each.evaluate("window.broken") is None
    await expect(page.locator("#text")).to_have_value("")


async def test_what_the_pages_server_refuses(own_server: str) -> None:
    base = own_server.partition("?")[0]
    async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
        # A form of another site's page can send this one.
        form = await http.post("/chat", content='{"name":"a","text":"b"}', headers={"content-type": "text/plain"})
        assert form.status_code == 415
        assert (await http.post("/chat", json={"name": "a"})).status_code == 400
        assert (await http.post("/jobs", json={"topic": "orders"})).status_code == 404
        assert (await http.post("/elsewhere", json={})).status_code == 404


async def test_progress(own_server: str, page: Page) -> None:
    await page.goto(own_server)
    await page.click("text=Progress bar")
    await page.click("#start")
    await expect(page.locator("#state")).to_contain_text("reading: ")
    await expect(page.locator("#state")).to_contain_text("writing: ")
    await expect(page.locator("#state")).to_have_text("Done: 1,234 rows")
    assert await page.evaluate("document.getElementById('bar').value") == 100
    await expect(page.locator("#start")).to_be_enabled()


async def test_chart(gateway: RunningGateway, pages: str, page: Page) -> None:
    await page.goto(f"{pages}/chart.html?gateway={gateway.url}&topic=kept.numbers")
    await expect(page.locator("#state")).to_have_text("open")
    for value in ("20", "no number", "25.5"):
        publish(gateway, "kept.numbers", value)
    await expect(page.locator("#newest")).to_have_text("25.5")
    await expect(page.locator("#chart polyline")).to_have_count(1)
    # Drawn once a frame: what is there at first may be the line of the first value alone.
    await expect(page.locator("#chart polyline")).to_have_attribute("points", re.compile(r"^\S+,95 \S+,5$"))


async def test_a_gap_breaks_the_line(pages: str, page: Page) -> None:
    def gap(call: Call) -> None:
        call.begin()
        for data in ("1", "2"):
            call.send(f"data: {data}\n\n".encode())
        call.message({"type": "gap", "topic": "t", "missed": 7, "reason": "slow-reader"})
        call.send(b"data: 3\n\n")
        call.hold()

    with Stage(gap) as stage:
        await page.goto(f"{pages}/chart.html?gateway={stage.url}&topic=t")
        await expect(page.locator("#chart polyline")).to_have_count(2)
        await expect(page.locator("#notice")).to_have_text("7 values did not arrive")
        await page.goto(f"{pages}/log.html?gateway={stage.url}&topic=t")
        await expect(page.locator("#lines div")).to_have_text(["1", "2", "— 7 lines are missing —", "3"])
        await page.goto("about:blank")


async def test_log_loses_no_line_over_a_restart(pages: str, page: Page, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'history.sqlite3'}"
    migrate(database)
    settings = {"history": "logs=1000", "history_store": "database", "database_url": database, "retry_ms": 300}
    with RunningGateway("uvicorn", **settings) as first:  # type: ignore[arg-type]
        await page.goto(f"{pages}/log.html?gateway={first.url}")
        await expect(page.locator("#state")).to_have_text("open")
        for line in ("one", "WARNING: two", SCRIPT):
            publish(first, "logs", line)
        await expect(page.locator("#lines div")).to_have_count(3)
        port = int(first.url.rpartition(":")[2])
    with RunningGateway("uvicorn", port=port, **settings) as second:  # type: ignore[arg-type]
        publish(second, "logs", "error: four")
        await expect(page.locator("#lines div")).to_have_text(["one", "WARNING: two", SCRIPT, "error: four"])
        await expect(page.locator("#lines div.warning")).to_have_text("WARNING: two")
        await expect(page.locator("#lines div.error")).to_have_text("error: four")
        assert await page.evaluate("window.broken") is None
        await page.fill("#filter", "FOUR")
        await expect(page.locator("#lines div:visible")).to_have_text(["error: four"])
        await page.fill("#filter", "")
        await page.check("#pause")
        publish(second, "logs", "five")
        publish(second, "logs", "six")
        await page.wait_for_function("() => waiting.length === 2")
        await expect(page.locator("#lines div")).to_have_count(4)
        await page.uncheck("#pause")
        await expect(page.locator("#lines div")).to_have_count(6)


async def test_the_wire_vectors_without_json(pages: str, page: Page) -> None:
    """An EventSource reads the format that the examples in four languages do not ask for."""
    cases = json.loads((ROOT / "tests" / "vectors" / "sse.json").read_text())["cases"]
    events = [case for case in cases if "event" in case]

    def play(call: Call) -> None:
        call.begin()
        for case in events:
            call.send(case["raw"].encode(), piece=7)
        call.hold()

    types = {case["event"]["event"] or "message" for case in events}
    with Stage(play) as stage:
        await page.goto(pages)
        seen = await page.evaluate(
            """([url, types, count]) => new Promise((resolve) => {
                const seen = [];
                const source = new EventSource(url);
                for (const type of types) source.addEventListener(type, ({ type, data, lastEventId }) => {
                    seen.push([type, lastEventId, data]);
                    if (seen.length === count) source.close(), resolve(seen);
                });
            })""",
            [f"{stage.url}/sse?topic=t", sorted(types), len(events)],
        )
    for case, (type_, id_, data) in zip(events, seen, strict=True):
        told = case["event"]
        # SSE has one line end: CR, LF and CRLF all arrive as LF.
        expected = (told["event"] or "message", told["id"], re.sub("\r\n?", "\n", told["data"]))
        assert (type_, id_, data) == expected, case["name"]


async def test_each_page_is_a_single_file() -> None:
    for file in PAGES.glob("*.html"):
        text = file.read_text("utf-8")
        assert not re.search(r"""<(script|link|img)[^>]*\s(src|href)=""", text), file
        assert file.stat().st_size < 8_000, file
