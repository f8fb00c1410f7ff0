"""Several nodes behind one address, ready for a test."""

from __future__ import annotations

import time

import httpx

from tests.gateway import GatewayFailed, RunningGateway

READY_SECONDS = 60.0
READY_ANSWERS = 30
"""So many in a row come from every node, but for one time in millions."""


def wait_until_ready(gateway: RunningGateway, nodes: int) -> None:
    """Wait until so many nodes are listed, and each of them publishes.

    A node that is ready may be so no more when another begins just then, and finds out with its next publish.

    Raises:
        GatewayFailed: they were not in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    headers = {"authorization": f"Bearer {gateway.key}"}
    dropped = {"x-sse-topic": "nobody/is/here", "x-sse-id": "1"}
    in_a_row = 0
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, limits=limits) as http:
        while in_a_row < READY_ANSWERS:
            if time.monotonic() > deadline:
                raise GatewayFailed(f"{nodes} nodes were not ready in {READY_SECONDS:g} s; their log:\n{gateway.log}")
            listed = http.get("/api/v1/nodes")
            publishes = http.post("/publish", headers=dropped).status_code == 204
            if publishes and listed.status_code == 200 and listed.json()["total"] == nodes:
                in_a_row += 1
            else:
                in_a_row = 0
                time.sleep(0.1)
