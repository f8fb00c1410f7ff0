"""Three nodes behind HAProxy are restarted one after another under 3,000 clients and steady publishing."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

from tests.deploy.proxies import Proxy, installed
from tests.deploy.rolling import Client, Judge, Publisher
from tests.faults.crowd import allow_descriptors
from tests.gateway import ROOT, RunningGateway
from tests.redis_server import RedisServer, needs_redis
from tests.reporting.provenance import provenance
from tests.server_process import free_port

CLIENTS = 3000
TOPICS = 10
PER_SECOND = 5.0
SETTLE_SECONDS = 12.0
MOST_LAG_SECONDS = 0.5
KEY = "a-key-for-this-test"


def node(redis: RedisServer, port: int) -> RunningGateway:
    """One node at *port*."""
    return RunningGateway(
        port=port, redis_url=redis.url, node_ttl_seconds=5, api_keys=KEY, history="*=10000", drain_seconds=10,
        node_name=f"node-{port}",
    )  # fmt: skip


async def until_open(clients: list[Client], count: int, seconds: float) -> None:
    """Wait until *count* clients are open."""
    deadline = time.monotonic() + seconds
    while (now := sum(client.open.is_set() for client in clients)) < count:
        assert time.monotonic() < deadline, f"{now} of {count} clients are open after {seconds:g} s"
        await asyncio.sleep(0.2)


async def watch_the_clock(lags: list[float]) -> None:
    """Note how late this process runs what is due: its clients come back as late, and then together."""
    while True:
        due = time.monotonic() + 0.1
        await asyncio.sleep(0.1)
        lags.append(time.monotonic() - due)


async def until_ready(gateway: RunningGateway) -> None:
    """Wait until the node says that it can deliver."""
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(trust_env=False) as http:
        while (await http.get(f"{gateway.url}/ready")).status_code != 200:
            assert time.monotonic() < deadline, gateway.log
            await asyncio.sleep(0.1)


@needs_redis
@pytest.mark.timeout(420)
async def test_a_rolling_restart_loses_nothing_and_spreads_the_clients() -> None:
    if not installed("haproxy"):
        pytest.skip("not run: haproxy is not installed")
    allow_descriptors(4 * CLIENTS)
    judge = Judge()
    with RedisServer() as redis:
        ports = [free_port() for _ in range(3)]
        nodes = [node(redis, port).start() for port in ports]
        try:
            for each in nodes:
                await until_ready(each)
            with Proxy("haproxy", ports) as front:
                front.wait_until_ready()
                topics = [f"orders.{number}" for number in range(TOPICS)]
                clients = [Client(front.url, topics[number % TOPICS], judge) for number in range(CLIENTS)]
                tasks = []
                for client in clients:
                    tasks.append(asyncio.create_task(client.run()))
                    await asyncio.sleep(0.002)
                await until_open(clients, CLIENTS, 60)
                publisher = Publisher(front.url, KEY, topics, PER_SECOND)
                publishing = asyncio.create_task(publisher.run())
                begun = time.monotonic()
                lags: list[float] = []
                tasks.append(asyncio.create_task(watch_the_clock(lags)))
                spreads = []
                for position, port in enumerate(ports):
                    await asyncio.sleep(SETTLE_SECONDS)
                    order = time.monotonic()
                    nodes[position].terminate()
                    code = await asyncio.to_thread(nodes[position].wait, 30)
                    assert code == 0
                    nodes[position].stop()
                    nodes[position] = await asyncio.to_thread(node(redis, port).start)
                    await until_ready(nodes[position])
                    await until_open(clients, CLIENTS, 30)
                    spreads.append(judge.most_in_a_second(order, time.monotonic() - order))
                await asyncio.sleep(SETTLE_SECONDS)
                publisher.stop.set()
                await publishing
                deadline = time.monotonic() + 20
                while late := [c for n, c in enumerate(clients) if c.last < publisher.numbers[topics[n % TOPICS]]]:
                    assert time.monotonic() < deadline, (
                        f"{len(late)} clients, {sum(c.open.is_set() for c in late)} of them open, lack the last event: "
                        f"{sorted({(c.topic, c.last, publisher.numbers[c.topic]) for c in late})} {judge}"
                    )
                    await asyncio.sleep(0.1)
                seconds = time.monotonic() - begun
                for task in tasks:
                    task.cancel()
        finally:
            for each in nodes:
                each.stop()
    figures = {
        **provenance(),
        "clients": CLIENTS,
        "seconds": round(seconds, 1),
        "published": sum(publisher.numbers.values()),
        "publishes_tried_again": publisher.tried_again,
        "received": judge.received,
        "lost": judge.lost,
        "repeated": judge.repeated,
        "gaps": judge.gaps,
        "reconnects": len(judge.reconnects),
        "most_reconnects_in_a_second_and_mean": [[most, round(mean, 1)] for most, mean in spreads],
        "refused": dict(judge.refused),
        "clients_late_by_seconds": round(max(lags), 2),
    }
    (ROOT / "test-results" / "rolling-restart.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(figures)
    assert (judge.lost, judge.repeated, judge.gaps) == (0, 0, 0)
    assert judge.received >= 50_000
    assert not {name: count for name, count in judge.refused.items() if name != "connection"}, "EventSource gives up"
    together = [(most, mean) for most, mean in spreads if most > 2 * mean]
    if together and max(lags) > MOST_LAG_SECONDS:
        pytest.skip(f"not run: this machine is too busy to time who comes back when ({max(lags):.1f} s late)")
    assert not together
