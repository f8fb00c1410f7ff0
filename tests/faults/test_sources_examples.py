"""The examples of sources of one's own, run as their documents say."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

import httpx
import pytest

from tests.faults.conftest import Start
from tests.faults.test_sources_redis import runs
from tests.gateway import GatewayFailed, RunningGateway
from tests.server_process import free_port


async def test_a_source_that_makes_its_own_events(start: Start) -> None:
    node = await start(sources="examples.sources.ticks.Ticks", environment={"TICKS_SECONDS": "0.05"})
    await runs(node, "ticks")
    async with node.sse("ticks") as stream:
        events = await stream.events(3)
        assert {event.event for event in events} == {"tick"}
        assert len({event.id for event in events}) == 3
        assert sorted(event.data or "" for event in events) == [event.data for event in events]


async def test_a_source_that_receives_another_services_webhooks(start: Start) -> None:
    port = free_port()
    secret = "a secret of the test"
    node = await start(
        sources="examples.sources.webhook.Webhook",
        environment={"WEBHOOK_SECRET": secret, "WEBHOOK_PORT": str(port)},
    )
    await runs(node, "webhook")
    body = json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "shop/site"}}).encode()

    def headers(body: bytes) -> dict[str, str]:
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return {
            "x-hub-signature-256": f"sha256={signature}",
            "x-github-event": "push",
            "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        }

    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as sender,
        node.sse("repository:shop/site") as stream,
    ):
        assert (await sender.get("/")).status_code == 405
        assert (await sender.post("/", content=body)).status_code == 401
        assert (await sender.post("/", content=body, headers=headers(b"other"))).status_code == 401
        bad = (b"[]", b"not JSON", b"\xff", b"[" * 100_000, b'{"repository":{}}', b'{"repository":{"full_name":"a b"}}')
        answers = [(await sender.post("/", content=each, headers=headers(each))).status_code for each in bad]
        # The last one is JSON as it should be, of a repository that cannot be a topic: it is no use sending it again.
        assert answers == [422] * 5 + [202]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        assert (await sender.post("/", content=body, headers=headers(body))).status_code == 202
        event = await stream.next_event()
        assert (event.event, event.data, event.id) == ("push", body.decode(), headers(body)["x-github-delivery"])
    source = (await node.get("/sources"))["items"][0]
    assert (source["dead"], source["published"]) == (len(bad), 1)


async def test_a_source_that_cannot_be_run_stops_the_start_with_a_sentence() -> None:
    gateway = RunningGateway("uvicorn", sources="examples.sources.webhook.Webhook")
    with pytest.raises(GatewayFailed, match="set WEBHOOK_SECRET"):
        await asyncio.to_thread(gateway.start)
    assert "Traceback" not in gateway.log
