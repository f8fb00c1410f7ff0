"""The profiles of deploy/compose.yaml, really brought up: one node alone, PostgreSQL, Prometheus."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.deploy.compose import BINARY, KEY, PROJECT, URL, Compose, wait_for_nodes, wait_until_ready
from tests.deploy.conftest import needs_containers, podman
from tests.deploy.test_image_sources import subscribed
from tests.gateway import ROOT

pytestmark = [
    needs_containers,
    pytest.mark.skipif(BINARY is None, reason="not run: docker-compose is not installed"),
    pytest.mark.timeout(400),
]
PROMETHEUS = "http://127.0.0.1:9090/api/v1"


def publish(url: str, topic: str, number: int) -> int:
    """Publish an event whose id and data are *number*; the status of the answer."""
    headers = {"x-api-key": KEY, "x-sse-topic": topic, "x-sse-id": str(number)}
    return httpx.post(f"{url}/publish", content=str(number), headers=headers, trust_env=False).status_code


def container(service: str) -> str:
    """The name of the only container of *service*."""
    (name,) = podman("ps", "--filter", f"name={PROJECT}_{service}_", "--format", "{{.Names}}").split()
    return name


def ask(path: str, **parameters: str) -> Any:
    """What Prometheus' HTTP interface answers."""
    answer = httpx.get(f"{PROMETHEUS}/{path}", params=parameters, trust_env=False)
    assert answer.status_code == 200, (parameters, answer.text)
    return answer.json()["data"]


def until(seen: Callable[[], Any], seconds: float) -> Any:
    """What *seen* returns, once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := seen():
                return found
        except httpx.HTTPError:
            found = None
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


def test_one_node_runs_without_redis() -> None:
    url = "http://127.0.0.1:8081"
    with Compose() as project:
        project("up", "-d", "--no-build", "single")
        wait_until_ready(url, 20)
        assert len(podman("ps", "--filter", f"name={PROJECT}_", "--format", "{{.Names}}").split()) == 1
        with subscribed(url, "news") as events:
            assert publish(url, "news", 1) == 200
            assert next(events) == "1"


def test_history_outlives_the_gateway_and_postgresql() -> None:
    database = "postgres://gateway:secret@postgres/gateway"
    settings = ["GATEWAY_HISTORY=kept.*=1000", "GATEWAY_HISTORY_STORE=database"]
    with Compose(settings, POSTGRES_PASSWORD="secret", GATEWAY_DATABASE_URL=database) as project:
        project("--profile", "postgres", "up", "-d", "--no-build")
        wait_for_nodes(1)
        assert [publish(URL, "kept.1", number) for number in (1, 2, 3)] == [200] * 3
        project("--profile", "postgres", "restart", "postgres", "gateway")
        wait_for_nodes(1)
        with contextlib.ExitStack() as stack:
            # Each process of nginx looks the new address up for itself, within seconds: a client comes again.
            events = until(lambda: stack.enter_context(subscribed(URL, "kept.1", last_event_id="1")), 20)
            assert [next(events), next(events)] == ["2", "3"]


def board() -> list[str]:
    """The board's queries, with Grafana's variables filled in."""
    panels = json.loads((ROOT / "deploy/grafana/gateway.json").read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    return [query.replace("$job", ".+").replace("$__rate_interval", "1m") for query in queries]


def test_prometheus_watches_each_node_with_the_alerts_and_the_board() -> None:
    with Compose() as project:
        project("--profile", "monitoring", "up", "-d", "--no-build", "--scale", "gateway=2", "proxy", "prometheus")
        wait_for_nodes(2)
        checked = podman(
            "exec", container("prometheus"), "promtool", "check", "config", "/etc/prometheus/prometheus.yml"
        )
        assert "8 rules found" in checked

        def watched() -> bool:
            targets = ask("targets")["activeTargets"]
            return len(targets) == 2 and all(target["health"] == "up" for target in targets)

        until(watched, 60)
        assert len(ask("rules")["groups"][0]["rules"]) == 8
        # A rate needs two samples.
        until(lambda: ask("query", query="min(rate(process_cpu_seconds_total[1m]))")["result"], 60)
        empty = [query for query in board() if not ask("query", query=query)["result"]]
        # Nothing was published, nobody refused, nothing missed: what is counted by a label is not there yet.
        assert all("by (reason)" in query or "gateway_source" in query for query in empty), empty
        ended = httpx.get(f"{URL}/metrics", trust_env=False)
        assert ended.status_code == 404
