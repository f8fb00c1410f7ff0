"""`manage.py serve --workers N`: processes on one port that stand and fall as one gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from tests.all_nodes import wait_until_ready
from tests.conformance.subject import eventually, unique
from tests.faults.subject import Subject, client_of
from tests.gateway import ROOT, RunningGateway, inherited_environment
from tests.raw.http import Ended
from tests.redis_server import RedisServer, needs_redis

WORKERS = 3
TTL = 2
STREAMS = 90

pytestmark = needs_redis


@pytest.fixture(scope="module")
def redis(server: str) -> Iterator[RedisServer]:
    """A Redis for the module, so that it is up for long enough after the first test."""
    with RedisServer() as running:
        yield running


@asynccontextmanager
async def group_of(server: str, redis: RedisServer, **settings: object) -> AsyncIterator[Subject]:
    """A gateway of three workers, all of them nodes that answer."""
    running = RunningGateway(
        server,
        arguments=["--workers", str(WORKERS)],
        redis_url=redis.url,
        node_ttl_seconds=TTL,
        node_name="worker",
        **settings,  # type: ignore[arg-type]
    )
    await asyncio.to_thread(running.start)
    try:
        await asyncio.to_thread(wait_until_ready, running, WORKERS)
        async with client_of(running) as subject:
            yield subject
    finally:
        await asyncio.to_thread(running.stop)


async def has_nodes(subject: Subject, count: int) -> bool:
    """Whether so many nodes are listed, under as many names."""
    answer = await subject.http.get("/api/v1/nodes")
    return answer.status_code == 200 and len({item["name"] for item in answer.json()["items"]}) == count


async def starts_again(subject: Subject, number: int, *, after: set[int]) -> int:
    """Wait until a worker has been started under another process id than those before; returns it."""
    entry = await asyncio.to_thread(
        subject.running.wait_for_log,
        "worker started",
        timeout=10,
        matching=lambda line: line["worker"] == number and line["pid"] not in after,
    )
    return int(entry["pid"])


async def test_subscribers_are_spread_and_a_publish_reaches_them_all(server: str, redis: RedisServer) -> None:
    async with group_of(server, redis) as subject, AsyncExitStack() as stack:
        topic = unique("topic")
        streams = [await stack.enter_async_context(subject.sse(topic)) for _ in range(STREAMS)]
        share = Counter(stream.opened["node"] for stream in streams)
        assert set(share) == {"worker-1", "worker-2", "worker-3"}
        # Thirty each, and a standard deviation of four and a half.
        assert min(share.values()) > STREAMS / WORKERS / 4, share
        assert (await subject.delivered(topic, id="1"))["subscribers"] == STREAMS
        assert {(await stream.next_event()).id for stream in streams} == {"1"}
        nodes = (await subject.http.get("/api/v1/nodes")).json()["items"]
        assert [item["name"] for item in nodes] == sorted(share)
        assert {item["port"] for item in nodes} == {urlsplit(subject.url).port}
        assert [item["connections"] for item in nodes] == [share[item["name"]] for item in nodes]


async def test_a_worker_that_dies_is_started_again_and_nobody_is_refused(server: str, redis: RedisServer) -> None:
    async with group_of(server, redis) as subject, AsyncExitStack() as stack:
        topic = unique("topic")
        streams = [await stack.enter_async_context(subject.sse(topic)) for _ in range(12)]
        dies = 1
        lost = [stream for stream in streams if stream.opened["node"] == f"worker-{dies}"]
        kept = [stream for stream in streams if stream not in lost]
        assert kept
        dead = await starts_again(subject, dies, after=set())
        os.kill(dead, signal.SIGKILL)
        # Its clients see the end; new ones wait for its successor or come to the others. A client that is refused, or
        # waits for longer than httpx does, fails here.
        for stream in lost:
            with pytest.raises((Ended, ConnectionError)):
                await stream.next_event()
        answers = await asyncio.gather(*[subject.http.get("/health") for _ in range(40)])
        assert {answer.status_code for answer in answers} == {200}

        await starts_again(subject, dies, after={dead})
        ended = subject.running.wait_for_log("worker ended")
        assert (ended["worker"], ended["status"]) == (dies, -signal.SIGKILL)

        async def reaches_those_that_are_left() -> bool:
            return bool((await subject.delivered(topic, id="probe"))["subscribers"] == len(kept))

        await eventually(reaches_those_that_are_left, within=TTL + 2)
        await subject.delivered(topic, id="last")
        for stream in kept:
            while (block := await stream.next_event()).id != "last":
                assert block.id == "probe", block
        # A worker that died, and was replaced, is no failure of the whole.
        assert await asyncio.to_thread(subject.running.stop) == 0


async def test_a_worker_that_keeps_dying_makes_no_client_wait(server: str, redis: RedisServer) -> None:
    async with group_of(server, redis) as subject:
        seen: set[int] = set()
        for _ in range(4):
            pid = await starts_again(subject, 1, after=seen)
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
        entry = await asyncio.to_thread(
            subject.running.wait_for_log, "worker ended", matching=lambda line: line["again_in"] >= 2
        )
        began = time.monotonic()
        for _ in range(30):
            assert (await subject.http.get("/health")).status_code == 200
        assert time.monotonic() - began < entry["again_in"], "clients waited for the worker that is away"
        await eventually(lambda: has_nodes(subject, WORKERS), within=15)


async def test_all_drain_at_sigterm(server: str, redis: RedisServer) -> None:
    async with group_of(server, redis) as subject, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(subject.sse("drain")) for _ in range(12)]
        children = subject.process.children()
        subject.running.terminate()
        for stream in streams:
            block = await stream.next_event()
            assert (block.event, block.json()["reason"]) == ("gateway.close", "shutdown")
        assert await asyncio.to_thread(subject.running.wait) == 0
        assert not any(child.is_running() for child in children)
        assert not subject.running.errors


async def test_workers_end_with_their_supervisor(server: str, redis: RedisServer) -> None:
    async with group_of(server, redis) as subject:
        children = subject.process.children()
        os.kill(subject.running.pid, signal.SIGKILL)
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=15)
        assert not alive


def refusal(server: str, *arguments: str, **settings: str) -> str:
    """Start with these: it must end by itself, with status 1; returns what it wrote."""
    ended = subprocess.run(
        [sys.executable, "manage.py", "serve", "--server", server, "--port", "0", *arguments],
        cwd=ROOT,
        env=inherited_environment() | {"GATEWAY_API_KEYS": "a-key-of-the-test", **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stdout
    return ended.stdout


def test_without_redis_it_is_refused(server: str) -> None:
    assert "--workers 3 needs GATEWAY_REDIS_URL" in refusal(server, "--workers", "3")


def test_workers_that_cannot_start_end_it(server: str, redis: RedisServer) -> None:
    # The number that is added makes the name too long.
    said = refusal(server, "--workers", "2", GATEWAY_REDIS_URL=redis.url, GATEWAY_NODE_NAME="x" * 255)
    assert "GATEWAY_NODE_NAME has a wrong value" in said
    assert "worker cannot start" in said


async def test_a_port_that_somebody_shares_already_is_refused(server: str, redis: RedisServer) -> None:
    async with group_of(server, redis) as subject:
        port = str(urlsplit(subject.url).port)
        said = await asyncio.to_thread(refusal, server, "--workers", "2", "--port", port, GATEWAY_REDIS_URL=redis.url)
        assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in said
