"""The gateway under test: what it says of itself, and what the operating system says of it."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.conformance.subject import Gateway, eventually
from tests.gateway import RunningGateway

MIB = 1 << 20


class Subject(Gateway):
    """A running gateway with its process."""

    def __init__(self, running: RunningGateway, http: httpx.AsyncClient) -> None:
        super().__init__(running.url, running.key, http)
        self.running = running
        self.process = psutil.Process(running.pid)

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(self.process.memory_info().rss)

    @property
    def fds(self) -> int:
        """Open file descriptors."""
        return int(self.process.num_fds())

    async def metrics(self) -> dict[str, float]:
        """Every sample of ``/metrics`` by its name; those that differ only in their labels are added up."""
        response = await self.http.get("/metrics")
        assert response.status_code == 200, response.text
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(response.text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0) + sample.value
        return sums

    async def connections(self, topic: str | None = None) -> int:
        """How many connections the gateway lists, of one topic or of all."""
        params = {} if topic is None else {"topic": topic}
        return int((await self.get("/connections", limit=1, **params))["total"])

    async def has_connections(self, count: int, topic: str | None = None, *, within: float = 10) -> float:
        """Wait until the gateway lists *count* connections; returns how many seconds that took."""

        async def listed() -> bool:
            return await self.connections(topic) == count

        try:
            return await eventually(listed, within=within)
        except TimeoutError:
            raise AssertionError(
                f"after {within:g} s the gateway lists {await self.connections(topic)} connections, not {count}"
            ) from None

    async def is_idle(self, *, within: float = 20) -> None:
        """Wait until no connection and no topic is left, in the lists and in the metrics."""
        seen: dict[str, float] = {}

        async def idle() -> bool:
            metrics = await self.metrics()
            seen.update(
                connections=await self.connections(),
                topics=(await self.get("/topics", limit=1))["total"],
                **{name: metrics[name] for name in ("gateway_connections", "gateway_topics", "gateway_outbox_bytes")},
            )
            return not any(seen.values())

        try:
            await eventually(idle, within=within, pause=0.1)
        except TimeoutError:
            raise AssertionError(f"after {within:g} s there is still {seen}") from None

    async def settles(self, what: Callable[[], float], at_most: float, *, within: float = 20) -> float:
        """Wait until *what* is at most *at_most*; returns its value, which is larger when it never was."""
        value = what()

        async def low() -> bool:
            nonlocal value
            value = what()
            return value <= at_most

        try:
            await eventually(low, within=within, pause=0.1)
        except TimeoutError:
            return value
        return value


@asynccontextmanager
async def client_of(running: RunningGateway) -> AsyncIterator[Subject]:
    """A client of *running*, which keeps no connection open between requests, so that descriptors can be counted."""
    async with httpx.AsyncClient(
        base_url=running.url,
        headers={"authorization": f"Bearer {running.key}"},
        trust_env=False,
        timeout=httpx.Timeout(20),
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=0),
    ) as http:
        yield Subject(running, http)


def assert_clean_end(running: RunningGateway) -> None:
    """End the gateway: it must have been well all the time, and have kept its key to itself."""
    code = running.stop()
    log = running.log
    assert "Traceback (most recent call last)" not in log, log[-10_000:]
    errors = [entry for entry in running.logs if entry.get("level") in {"error", "critical"}]
    assert not errors, errors[:5]
    assert running.key not in log, "the API key is in the log"
    assert code == 0, (code, log[-5_000:])


def percentile(values: list[float], share: float) -> float:
    """The value below which *share* (0 to 1) of *values* lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def wait_for_port(host: str, port: int, *, alive: Callable[[], bool], within: float = 20) -> None:
    """Wait until something listens there, as long as *alive* says that this can still come."""
    deadline = time.monotonic() + within
    while True:
        try:
            with socket.create_connection((host, port), timeout=1):
                return
        except OSError:
            assert alive(), "the process ended without listening"
            assert time.monotonic() < deadline, f"nothing listens on {host}:{port} after {within:g} s"
            time.sleep(0.05)
