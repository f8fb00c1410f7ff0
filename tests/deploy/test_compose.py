"""deploy/compose.yaml, really brought up: three nodes, Redis, nginx; a node is killed and another restarted."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.conftest import needs_containers, podman
from tests.deploy.images import GATEWAY
from tests.deploy.rolling import Client, Judge, Publisher
from tests.deploy.test_proxies import EVERYWHERE, NGINX, without
from tests.gateway import ROOT
from tests.run_conformance import run_suite

COMPOSE = shutil.which("docker-compose")
pytestmark = [
    needs_containers,
    pytest.mark.skipif(COMPOSE is None, reason="not run: docker-compose is not installed"),
    pytest.mark.timeout(500),
]
URL, KEY = "http://127.0.0.1:8080", "a-key-for-this-test"


@pytest.fixture(scope="module")
def compose() -> Iterator[list[str]]:
    """The command, with three nodes up; history is on."""
    folder = Path(tempfile.mkdtemp(prefix="compose-"))
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    with (folder / "deploy/compose/gateway.env").open("a", encoding="utf-8") as settings:
        settings.write("GATEWAY_HISTORY=kept.*=10000\n")
    sock = folder / "podman.sock"
    # The name server of a sandbox that has ended left its traces.
    shutil.rmtree("/run/containers/networks/aardvark-dns", ignore_errors=True)
    service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{sock}"], stderr=subprocess.DEVNULL)
    os.environ |= {"DOCKER_HOST": f"unix://{sock}", "GATEWAY_API_KEYS": KEY, "SSE_GATEWAY_IMAGE": GATEWAY}
    command = [str(COMPOSE), "-f", str(folder / "deploy/compose.yaml"), "-p", "gatewaytest"]
    try:
        deadline = time.monotonic() + 10
        while not sock.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        subprocess.run([*command, "config", "-q"], check=True)
        subprocess.run([*command, "up", "-d", "--no-build", "--scale", "gateway=3"], check=True, timeout=180)
        wait_for_nodes(3)
        yield command
    finally:
        subprocess.run([*command, "logs", "--tail", "5"], check=False, timeout=60)
        subprocess.run([*command, "down", "-t", "12", "-v"], check=False, timeout=120)
        service.terminate()
        service.wait(10)
        for name in ("DOCKER_HOST", "GATEWAY_API_KEYS", "SSE_GATEWAY_IMAGE"):
            os.environ.pop(name)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_nodes(count: int) -> None:
    """Wait until so many nodes are ready behind the load balancer."""
    deadline = time.monotonic() + 60
    seen: object = None
    while True:
        try:
            answer = httpx.get(f"{URL}/api/v1/nodes", headers={"x-api-key": KEY}, trust_env=False, timeout=3)
            seen = answer.text
            if answer.status_code == 200 and answer.json()["total"] == count:
                return
        except httpx.HTTPError as error:
            seen = error
        assert time.monotonic() < deadline, seen
        time.sleep(0.3)


def test_the_contract_holds_through_the_load_balancer(compose: list[str]) -> None:
    # /metrics is for Prometheus inside.
    assert run_suite("compose", URL, KEY, without([*EVERYWHERE, *NGINX, "metrics"])) == 0


async def test_a_node_that_is_killed_and_one_that_is_restarted_lose_nothing(compose: list[str]) -> None:
    judge = Judge()
    topics = ["kept.1", "kept.2"]
    clients = [Client(URL, topics[number % 2], judge) for number in range(100)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    publisher = Publisher(URL, KEY, topics, 20)
    publishing = asyncio.create_task(publisher.run())
    names = podman("ps", "--filter", "name=gatewaytest_gateway", "--format", "{{.Names}}").split()
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
