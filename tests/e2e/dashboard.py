"""A visitor of the dashboard: a real Chromium, on a real gateway with real publishers and subscribers."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.e2e.browser import chromium, needs_chromium
from tests.e2e.traffic import Traffic
from tests.gateway import ROOT, RunningGateway
from tests.redis_server import BINARY, RedisServer
from tests.worker import WRANGLER, RunningWorker

BUILD = ROOT / "dashboard" / "static" / "dashboard" / "index.html"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
MILLISECONDS = 15_000
IDLE_SECONDS = 60.0
"""The Worker writes for each client that leaves, and a test may leave 1,200 on a machine whose disk is busy."""
EXPECTED = (
    # The browser writes these for every request that fails, whatever the page makes of it.
    "the server responded with a status of 401",
    "net::ERR_CONNECTION_REFUSED",
    "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
    "net::ERR_CONNECTION_RESET",
)

NODE_TTL_SECONDS = 2

NEEDED = [
    *needs_chromium,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not BUILD.exists(), reason="not run: the dashboard is not built (make frontend)"),
]

expect.set_options(timeout=MILLISECONDS)


@dataclass
class Gateway:
    """One gateway of one node or several, or the Cloudflare Worker. The dashboard is opened at the first node.

    Attributes:
        kind: Where placement is.
        here: Name of the node that the dashboard is opened at.
    """

    kind: Literal["memory", "redis", "worker"]
    settings: Mapping[str, Any]
    servers: Sequence[str]
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nodes: list[RunningGateway | RunningWorker] = field(default_factory=list)
    here: str = "node-a"

    @property
    def url(self) -> str:
        """Where the dashboard is opened."""
        return self.nodes[0].url

    def node(self, name: str, server: str, *, port: int = 0) -> RunningGateway:
        """Make a node of this gateway, or with memory a gateway of its own under the same key; it is to be started."""
        environment = {"GATEWAY_API_KEYS": self.key}
        node = RunningGateway(server, environment, port=port, node_name=name, **self.settings)
        node.key = self.key
        return node

    def start(self, stack: ExitStack) -> None:
        """Start all nodes."""
        if self.kind == "worker":
            worker = RunningWorker(api_keys=self.key, **self.settings)
            worker.key = self.key
            self.nodes.append(stack.enter_context(worker))
            self.here = _location(worker)
            return
        with ThreadPoolExecutor() as threads:
            names = (f"node-{letter}" for letter in "abc")
            for node in threads.map(RunningGateway.start, map(self.node, names, self.servers)):
                stack.callback(node.stop)
                self.nodes.append(node)

    async def is_ready(self) -> None:
        """Wait until every node answers for all, and nobody is connected."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=IDLE_SECONDS) as http:
            for node in self.nodes:
                async with asyncio.timeout(IDLE_SECONDS):
                    while not await self._idle(http, node):
                        await asyncio.sleep(0.05)

    async def _idle(self, http: httpx.AsyncClient, node: RunningGateway | RunningWorker) -> bool:
        if self.kind == "worker":
            # Its nodes are the locations that anybody has come by: none at first.
            return not (await http.get(f"{node.url}/api/v1/stats")).json()["connections"]
        listed = await http.get(f"{node.url}/api/v1/nodes")
        if listed.status_code == 503:
            return False
        nodes = listed.json()["items"]
        return len(nodes) == len(self.nodes) and not any(each["connections"] for each in nodes)


def _location(worker: RunningWorker) -> str:
    """Ask the Worker which of Cloudflare's locations it takes itself for."""
    with httpx.stream("GET", f"{worker.url}/sse?topic=where", timeout=MILLISECONDS / 1000, trust_env=False) as answer:
        opened = next(line for line in answer.iter_lines() if line.startswith("data: "))
    return str(json.loads(opened.removeprefix("data: "))["node"])


@contextmanager
def gateway_of(kind: str, **more: object) -> Iterator[Gateway]:
    """Run a gateway: one node, three on a Redis, or the Worker."""
    with ExitStack() as stack:
        settings: dict[str, Any] = {"slow_reader": "drop-oldest", "retry_ms": 200, **more}
        if kind == "memory":
            made = Gateway("memory", settings, ["daphne"])
        elif kind == "worker":
            # One keep-alive finds out that the last test's clients have gone, two end a reader that takes nothing.
            made = Gateway("worker", {**settings, "heartbeat_seconds": 5}, [])
        else:
            if BINARY is None:
                pytest.skip("not run: redis-server is not installed")
            redis = stack.enter_context(RedisServer())
            settings |= {"redis_url": redis.url, "node_ttl_seconds": NODE_TTL_SECONDS}
            made = Gateway("redis", settings, ["uvicorn", "daphne", "uvicorn"])
        made.start(stack)
        yield made


# `make worker-dashboard` runs these, not beside other folders; the short one in test_dashboard_worker.py always runs.
WORKER = pytest.param(
    "worker",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(
            not WRANGLER.exists(), reason="not run: the Worker's packages are not installed (make worker)"
        ),
    ],
)
KINDS = ("memory", "redis", WORKER)


@pytest.fixture(scope="session", params=KINDS)
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway for all tests: one node, three on a Redis, or the Worker. Both servers take part."""
    with gateway_of(request.param) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def traffic(gateway: Gateway) -> AsyncIterator[Traffic]:
    """Nobody is connected when a test begins, and nothing was wrong with a node when it ends."""
    await gateway.is_ready()
    before = [len(node.errors) for node in gateway.nodes]
    async with Traffic(*gateway.nodes) as traffic:
        yield traffic
    for node, errors in zip(gateway.nodes, before, strict=True):
        assert node.errors[errors:] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


class Visit:
    """A page, and all that it said and asked for."""

    def __init__(self, page: Page, gateway: Gateway | RunningGateway | RunningWorker) -> None:
        self.page = page
        self.gateway = gateway
        self.here = gateway.here if isinstance(gateway, Gateway) else ""
        """Name of the node that the page is opened at."""
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in EXPECTED):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        self.addresses.append(request.url)

    async def open(self, query: str = "", *, signed_in: bool = True) -> Page:
        """Open the dashboard; signing in goes through its own form."""
        await self.page.goto(f"{self.gateway.url}/dashboard/{query}")
        if signed_in:
            await self.sign_in(self.gateway.key)
            await expect(self.page.get_by_role("navigation", name="Views")).to_be_visible()
        return self.page

    async def sign_in(self, key: str) -> None:
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()

    def check(self) -> None:
        """Nothing complained; nothing was asked of another host, and no address held the key."""
        assert self.complaints == []
        for address in self.addresses:
            assert address.startswith((self.gateway.url, "blob:")), address
            assert self.gateway.key not in address


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser, gateway: Gateway, traffic: Traffic) -> AsyncIterator[Visit]:
    """A page on the first node; the test's own context, so that it begins signed out."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = await context.new_page()
    page.set_default_timeout(MILLISECONDS)
    visit = Visit(page, gateway)
    yield visit
    visit.check()
    await context.close()


async def audit(page: Page) -> list[str]:
    """Return what axe finds serious on the page as it is."""
    if not AXE.exists():
        pytest.skip("not run: axe-core is not installed (make frontend)")
    # The page's policy allows no inline script; the browser's debugger may run one all the same.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition of this process holds."""
    deadline = asyncio.get_running_loop().time() + MILLISECONDS / 1000
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.02)


def events_of(page: Page) -> Locator:
    """Return the events that the tail shows."""
    return page.get_by_role("listbox", name="Events").get_by_role("option")


async def row_ids(page: Page) -> list[str]:
    """Return the connection ids of the rows shown."""
    found = await page.locator("tbody td:first-child button[title]").evaluate_all("all => all.map(one => one.title)")
    return cast("list[str]", found)
