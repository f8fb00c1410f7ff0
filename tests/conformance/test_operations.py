"""Contract §7 and §9: health, readiness, metrics; and the OpenAPI document of §5."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.conformance.subject import Gateway, assert_problem, eventually, unique

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (-?[0-9.eE+-]+|NaN|[+-]Inf)( \d+)?')


@pytest.mark.parametrize(("path", "word"), [("/health", "ok"), ("/ready", "ready")])
async def test_health_and_readiness_need_no_key(gateway: Gateway, path: str, word: str) -> None:
    for accept in ([], [("accept", "*/*")], [("accept", "text/html,*/*;q=0.8")]):
        answer = await gateway.exchange("GET", path, accept)
        assert (answer.status, answer.body) == (200, word.upper().encode())
        assert answer.headers.get("content-type").split(";")[0] == "text/plain"
    answer = await gateway.exchange("GET", path, [("accept", "application/json")])
    assert answer.status == 200
    assert answer.headers.get("content-type").split(";")[0] == "application/json"
    assert answer.json()["status"] == word
    head = await gateway.exchange("HEAD", path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_health_is_never_stored(gateway: Gateway, path: str) -> None:
    assert "no-store" in (await gateway.exchange("GET", path)).headers.get("cache-control")


@pytest.mark.parametrize("path", ["/", "/dashboard"])
async def test_the_gateways_address_leads_to_the_dashboard(gateway: Gateway, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = await gateway.exchange(method, f"{path}?view=topics")
        assert (answer.status, answer.headers.get("location")) == (308, "/dashboard/?view=topics")


@pytest.mark.parametrize("path", ["/", "/dashboard", "/health", "/ready", "/metrics"])
async def test_other_methods_are_not_allowed(gateway: Gateway, path: str) -> None:
    answer = await gateway.exchange("POST", path, [("authorization", f"Bearer {gateway.key}")], b"x")
    assert_problem(answer, 405)
    assert "GET" in answer.headers.get("allow")


async def test_metrics_need_the_key(gateway: Gateway) -> None:
    for credentials in ([], [("authorization", "Bearer wrong")], [("x-api-key", "wrong")]):
        answer = await gateway.exchange("GET", "/metrics", credentials)
        assert_problem(answer, 401)
        assert answer.headers.get("www-authenticate").startswith("Bearer")


async def samples(gateway: Gateway) -> dict[str, float]:
    """Every sample by its name and labels, added up over the nodes."""
    nodes = (await gateway.get("/nodes", limit=1))["total"]
    seen: dict[str, dict[str, float]] = {}
    # One address may lead to any of several nodes; a node names itself, and no load balancer leaves one out for long.
    for _ in range(50 * nodes):
        values = await samples_of_one(gateway)
        seen[next((name for name in values if name.startswith("gateway_node_info{")), "")] = values
        if len(seen) >= nodes:
            break
    totals: Counter[str] = Counter()
    for values in seen.values():
        totals.update(values)
    return dict(totals)


async def samples_of_one(gateway: Gateway) -> dict[str, float]:
    """Every sample of the node that answers; each line must be in Prometheus' text format."""
    response = await gateway.exchange("GET", "/metrics", [("authorization", f"Bearer {gateway.key}")])
    assert response.status == 200
    assert response.headers.get("content-type").startswith("text/plain")
    values = {}
    for line in response.body.decode().splitlines():
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line!r}"
        values[f"{match[1]}{{{match[2] or ''}}}"] = float(match[3])
    assert values
    return values


async def test_metrics_move_with_what_happens(gateway: Gateway, topic: str) -> None:
    before = await samples(gateway)
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic)
        await stream.next_event()
        await gateway.publish(unique())

        async def moved() -> bool:
            after = await samples(gateway)
            grown = {name for name, value in after.items() if value > before.get(name, 0)}
            return all(any(word in name for name in grown) for word in ("published", "delivered", "dropped"))

        await eventually(moved, within=5)


async def test_no_metric_names_a_topic(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic):
        await gateway.delivered(topic)
        assert topic not in (await gateway.http.get("/metrics")).text, "labels must stay few"


async def test_the_openapi_document_lists_every_route(gateway: Gateway) -> None:
    response = await gateway.http.get("/api/v1/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    assert document["openapi"].startswith("3.")
    paths = {re.sub(r"\{\w+\}", "{}", path.rstrip("/")): methods for path, methods in document["paths"].items()}
    for path, method in (
        ("/publish", "post"),
        ("/publish/batch", "post"),
        ("/topics", "get"),
        ("/connections", "get"),
        ("/connections/{}", "get"),
        ("/connections/{}", "delete"),
        ("/nodes", "get"),
        ("/stats", "get"),
        ("/tail", "get"),
    ):
        assert method in paths[f"/api/v1{path}"], (method, path)
    assert_every_reference_resolves(document, document)


def assert_every_reference_resolves(document: dict[str, Any], part: Any) -> None:
    """Every ``$ref`` must lead somewhere in the document."""
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str):
            target: Any = document
            for step in reference.removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
        for value in part.values():
            assert_every_reference_resolves(document, value)
    elif isinstance(part, list):
        for value in part:
            assert_every_reference_resolves(document, value)


async def test_the_documentation_page_answers(gateway: Gateway) -> None:
    response = await gateway.http.get("/api/docs", follow_redirects=True)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    policy = {part.strip() for part in response.headers["content-security-policy"].split(";")}
    assert policy >= {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
    scripts = [part for part in policy if part.startswith("script-src")]
    assert scripts in ([], ["script-src 'self'"]), "scripts of strangers would reach the key that is typed here"
