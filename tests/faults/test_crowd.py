"""All clients of a node that was lost come back in the same moment."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.conftest import Start
from tests.faults.crowd import allow_descriptors, gather


@pytest.mark.parametrize(
    ("count", "within"),
    [pytest.param(1_000, 10, id="1,000"), pytest.param(5_000, 30, id="5,000", marks=pytest.mark.slow)],
)
async def test_all_clients_that_come_at_once_are_let_in(start: Start, count: int, within: float) -> None:
    limit = allow_descriptors(count)
    if limit < count + 100:
        pytest.skip(f"not run: {count:,} connections need more than the {limit:,} descriptors allowed (ulimit -n)")
    gateway = await start()
    crowd = await asyncio.to_thread(gather, gateway.url, count, within=within)
    print(f"{len(crowd.open)} open after {crowd.seconds:.2f} s")
    try:
        assert not crowd.failed, crowd.failed
        assert len(crowd.open) == count
        assert await gateway.connections() == count
        assert (await gateway.get("/topics", limit=1))["total"] == count + 1
        answer = await gateway.delivered("crowd", "hello everybody")
        assert answer["subscribers"] == count
        assert await asyncio.to_thread(crowd.receive, b"hello everybody", within=within) == count
    finally:
        crowd.close()
    await gateway.is_idle()
