import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway_project import health
from tests.django_api import KEY, Attach
from tests.lost_placement import make_losable
from topics.runtime import Runtime


@pytest.fixture(params=[False, True], ids=["key", "public"])
def metrics_public(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def gateway_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    if "metrics_public" in request.fixturenames:
        return {"metrics_public": request.getfixturevalue("metrics_public")}
    return {}


JSON = {"accept": "application/json"}


async def test_health_needs_neither_key_nor_store(anonymous: httpx.AsyncClient, runtime: Runtime) -> None:
    (await make_losable(runtime)).left = 0
    answer = await anonymous.get("/health")
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["cache-control"] == "no-store"
    assert (await anonymous.get("/health", headers=JSON)).json() == {"status": "ok"}


async def test_ready_without_a_key(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/ready")
    assert (answer.status_code, answer.text) == (200, "READY")
    assert (await anonymous.get("/ready", headers=JSON)).json() == {"status": "ready"}


async def test_a_lost_store_is_not_ready_until_it_is_back(anonymous: httpx.AsyncClient, runtime: Runtime) -> None:
    placement = await make_losable(runtime)
    placement.left = 0
    answer = await anonymous.get("/ready", headers=JSON)
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert (await anonymous.get("/ready")).text == "unavailable: The placement store cannot be reached."
    placement.left = None
    assert (await anonymous.get("/ready")).status_code == 200


async def test_a_store_that_does_not_answer_is_not_ready(
    anonymous: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.placement, "check", asyncio.Event().wait)
    monkeypatch.setattr(health, "READY_SECONDS", 0.01)
    answer = await anonymous.get("/ready", headers=JSON)
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


async def test_a_draining_node_is_alive_but_not_ready(anonymous: httpx.AsyncClient, runtime: Runtime) -> None:
    runtime.hub.draining = True
    answer = await anonymous.get("/ready", headers=JSON)
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert (await anonymous.get("/health")).status_code == 200


async def test_metrics_ask_for_a_key_unless_public(anonymous: httpx.AsyncClient, metrics_public: bool) -> None:
    answer = await anonymous.get("/metrics")
    assert answer.status_code == (200 if metrics_public else 401)
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
        assert (await anonymous.get("/metrics", headers=headers)).status_code == 200


async def test_metrics_count(api: httpx.AsyncClient, attach: Attach) -> None:
    async def values() -> dict[tuple[str, str], float]:
        answer = await api.get("/metrics")
        return {
            (sample.name, sample.labels.get("transport", "")): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    before = await values()
    await attach("news", transport="websocket")
    await api.post("/api/v1/publish", json={"topics": ["news"], "id": "1", "data": "x"})
    await api.post("/api/v1/publish", json={"topics": ["nobody"], "id": "1", "data": "x"})
    after = await values()
    for name in ("gateway_published_total", "gateway_dropped_total", "gateway_delivered_total"):
        assert after[name, ""] == before[name, ""] + 1
    assert after["gateway_publish_seconds_count", ""] == before["gateway_publish_seconds_count", ""] + 2
    connections = "gateway_connections", "websocket"
    assert after[connections] == before.get(connections, 0) + 1
    assert after["gateway_topics", ""] == 1


async def test_metrics_come_as_openmetrics_when_asked_for(api: httpx.AsyncClient) -> None:
    answer = await api.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
