"""One runtime a process: shared by all who ask for it, started again when it could not be, and ended once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings

from tests.unit.topics.switched import Switched
from topics import runtime as runtime_module
from topics.conf import GatewaySettings
from topics.exceptions import PlacementUnavailable
from topics.process import running, shut_down
from topics.runtime import Runtime


@pytest.fixture
async def process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Switched]:
    """A process that has not started its runtime yet, and the placement that it will use."""
    placement = Switched()
    monkeypatch.setattr(runtime_module, "MemoryPlacement", lambda _dedupe: placement)
    settings.GATEWAY = GatewaySettings(api_keys=("unit-key",), drain_seconds=0)
    yield placement
    placement.away = False
    await shut_down()


async def test_all_callers_share_one_runtime(process: Switched) -> None:
    first, *others = await asyncio.gather(*(running() for _ in range(20)))
    assert all(other is first for other in others)
    assert await running() is first


async def test_a_caller_that_leaves_does_not_stop_the_start(process: Switched) -> None:
    leaving, staying = asyncio.create_task(running()), asyncio.create_task(running())
    await asyncio.sleep(0)
    leaving.cancel()
    assert isinstance(await staying, Runtime)
    assert leaving.cancelled()


async def test_a_start_that_failed_is_tried_again_by_the_next_caller(process: Switched) -> None:
    process.away = True
    results = await asyncio.gather(running(), running(), return_exceptions=True)
    assert [type(result) for result in results] == [PlacementUnavailable] * 2
    process.away = False
    assert isinstance(await running(), Runtime)


async def test_shutting_down_a_process_that_never_started_does_nothing(process: Switched) -> None:
    await shut_down()
    runtime = await running()
    await shut_down()
    assert runtime.hub.draining
    await shut_down()


async def test_shutting_down_after_a_failed_start_does_not_raise(process: Switched) -> None:
    process.away = True
    with pytest.raises(PlacementUnavailable):
        await running()
    await shut_down()
