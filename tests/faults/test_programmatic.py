"""Publishing from Python: a view, a signal handler, and a process that is not the gateway."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.nodes import KEY, READY_SECONDS, is_ready
from tests.gateway import ROOT, inherited_environment
from tests.redis_server import RedisServer, needs_redis

APPLICATION = """
import asyncio, json, sys
import django
django.setup()
from django.dispatch import Signal
from django.http import JsonResponse
from django.test import AsyncRequestFactory, RequestFactory
from publishing import publish, publish_sync

paid = Signal()

def announce(sender, order, **kwargs):
    publish_sync("orders", json.dumps({"order": order}), id=f"paid-{order}", event="paid")

paid.connect(announce)

async def view(request):
    routed = await publish(["orders", "bills"], "from a view", id="view-1")
    return JsonResponse({"subscribers": routed.subscribers, "topics": dict(routed.topics)})

paid.send(sender=None, order=7)
print(asyncio.run(view(AsyncRequestFactory().get("/"))).content.decode())
print(publish_sync("nobody", "x").topics)
try:
    publish_sync("a b", "x")
except ValueError as error:
    print(type(error).__name__)
"""


def run(redis_url: str | None) -> subprocess.CompletedProcess[str]:
    environment = {
        **inherited_environment(),
        "GATEWAY_API_KEYS": KEY,
        "DJANGO_SETTINGS_MODULE": "gateway_project.settings",
    }
    if redis_url is not None:
        environment |= {"GATEWAY_REDIS_URL": redis_url, "GATEWAY_NODE_NAME": "application"}
    return subprocess.run(
        [sys.executable, "-c", APPLICATION],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@needs_redis
async def test_an_application_publishes_through_a_view_and_a_signal_and_leaves_nothing_behind(start: Start) -> None:
    with RedisServer() as redis:
        node = await start(redis_url=redis.url, api_keys=KEY, node_name="gateway")
        node.http.headers["authorization"] = f"Bearer {KEY}"
        await eventually(lambda: is_ready(node), within=READY_SECONDS)
        async with node.sse("orders") as stream:
            application = await asyncio.to_thread(run, redis.url)
            assert application.returncode == 0, application.stderr
            lines = application.stdout.splitlines()
            assert json.loads(lines[0]) == {"subscribers": 1, "topics": {"orders": 1}}
            assert lines[1:] == ["{}", "InvalidTopic"]
            first, second = await stream.events(2)
            assert (first.id, first.event, first.data) == ("paid-7", "paid", '{"order": 7}')
            assert (second.id, second.data) == ("view-1", "from a view")
        nodes: list[dict[str, Any]] = (await node.get("/nodes"))["items"]
        assert [one["name"] for one in nodes] == ["gateway"]


async def test_without_redis_a_process_that_is_not_the_gateway_is_told() -> None:
    application = await asyncio.to_thread(run, None)
    assert application.returncode == 1
    assert "NotAGateway: This process is not the gateway. Set GATEWAY_REDIS_URL" in application.stderr
