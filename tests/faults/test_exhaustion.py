"""When the operating system has nothing more to give: the gateway lives, and goes on when it has."""

from __future__ import annotations

import asyncio
import shutil

import httpx
import pytest

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.crowd import allow_descriptors, gather
from tests.faults.subject import client_of
from tests.gateway import RunningGateway

needs_prlimit = pytest.mark.skipif(
    shutil.which("prlimit") is None, reason="not run: the program prlimit is missing (apt-get install util-linux)"
)


@needs_prlimit
async def test_the_gateway_takes_all_the_descriptors_that_it_may_have(start: Start) -> None:
    allow_descriptors(600)
    gateway = await start(inside=["prlimit", "--nofile=128:2048"])
    crowd = await asyncio.to_thread(gather, gateway.url, 400, within=10)
    try:
        assert len(crowd.open) == 400, crowd.failed
    finally:
        crowd.close()
    await gateway.is_idle()


@needs_prlimit
async def test_out_of_descriptors(server: str) -> None:
    allow_descriptors(600)
    running = RunningGateway(server, inside=["prlimit", "--nofile=128:128"])
    await asyncio.to_thread(running.start)
    try:
        async with client_of(running) as gateway, gateway.sse("first") as stream:
            await gateway.delivered("first", "before")
            assert (await stream.next_event()).data == "before"
            busy = sum(gateway.process.cpu_times()[:2])
            crowd = await asyncio.to_thread(gather, gateway.url, 300, within=3)
            busy = sum(gateway.process.cpu_times()[:2]) - busy
            print(f"{len(crowd.open)} of 300 let in; {busy:.2f} s of processor time in {crowd.seconds:.2f} s")
            assert 50 < len(crowd.open) < 128
            assert running.running
            crowd.close()

            async def recovered() -> bool:
                try:
                    return await gateway.connections() == 1
                except httpx.TransportError:
                    # Those that leave have not all been noticed yet.
                    return False

            await eventually(recovered, within=10)
            await gateway.delivered("first", "after")
            assert (await stream.next_event(within=10)).data == "after"
            assert busy < 2, "it asks again and again for what it cannot have"
    finally:
        code = await asyncio.to_thread(running.stop)
    assert code == 0, running.log[-5_000:]
    # It may say so, but not thousands of times.
    assert len(running.lines) < 200, (len(running.lines), running.log[:5_000])
