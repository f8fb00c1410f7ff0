"""deploy/compose.yaml, really brought up: three nodes, Redis, nginx; a node is killed and another restarted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.deploy.compose import BINARY, KEY, PROJECT, URL, Compose, wait_for_nodes
from tests.deploy.conftest import needs_containers, podman
from tests.deploy.rolling import Client, Judge, Publisher
from tests.deploy.test_proxies import EVERYWHERE, NGINX, without
from tests.run_conformance import HISTORY, run_suite

pytestmark = [
    needs_containers,
    pytest.mark.skipif(BINARY is None, reason="not run: docker-compose is not installed"),
    pytest.mark.timeout(500),
]


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The project, with three nodes up; history is on."""
    with Compose([f"GATEWAY_HISTORY={HISTORY},kept.*=10000"]) as project:
        project("config", "-q")
        project("up", "-d", "--no-build", "--scale", "gateway=3")
        wait_for_nodes(3)
        yield project


def test_the_contract_holds_through_the_load_balancer(compose: Compose) -> None:
    # /metrics is for Prometheus inside.
    assert run_suite("compose", URL, KEY, without([*EVERYWHERE, *NGINX, "metrics"])) == 0


async def test_a_node_that_is_killed_and_one_that_is_restarted_lose_nothing(compose: Compose) -> None:
    judge = Judge()
    topics = ["kept.1", "kept.2"]
    clients = [Client(URL, topics[number % 2], judge) for number in range(100)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    publisher = Publisher(URL, KEY, topics, 20)
    publishing = asyncio.create_task(publisher.run())
    names = podman("ps", "--filter", f"name={PROJECT}_gateway", "--format", "{{.Names}}").split()
    assert len(names) == 3
    await asyncio.sleep(5)
    await asyncio.to_thread(podman, "kill", "--signal", "KILL", names[0])
    await asyncio.sleep(8)
    await asyncio.to_thread(podman, "start", names[0])
    await asyncio.to_thread(wait_for_nodes, 3)
    await asyncio.to_thread(podman, "restart", "-t", "15", names[1])
    await asyncio.to_thread(wait_for_nodes, 3)
    await asyncio.sleep(3)
    publisher.stop.set()
    await publishing
    deadline = time.monotonic() + 20
    while any(client.last < publisher.numbers[client.topic] for client in clients):
        assert time.monotonic() < deadline, judge
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    print(judge, publisher.numbers, "tried again:", publisher.tried_again)
    assert judge.lost == 0
    # Who publishes again because the answer was lost with the node publishes twice.
    assert judge.repeated <= publisher.tried_again * len(clients) / len(topics)
