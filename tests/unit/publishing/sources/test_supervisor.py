"""Sources that fail, end, or will not be cancelled, under watch."""

import asyncio

import pytest

from publishing.sources import supervisor as supervisor_module
from publishing.sources.base import Guarantee, Publish, RunsOn, Unreachable
from publishing.sources.supervisor import Supervisor
from topics.runtime import Runtime


class Scripted:
    """Does what it is told, one word for each run."""

    name = "scripted"
    guarantee: Guarantee = "at-most-once"
    runs_on: RunsOn = "one-node"

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.reached = asyncio.Event()
        self.closed = False

    def validate(self) -> None:
        pass

    async def run(self, publish: Publish) -> None:
        word = self.script.pop(0)
        if word == "unreachable":
            raise Unreachable("It is away.")
        if word == "fault":
            raise ValueError("a fault of the source")
        publish.connected()
        self.reached.set()
        if word == "end":
            return
        try:
            await asyncio.Event().wait()
        finally:
            if word == "stubborn":
                raise ConnectionError("while it cleaned up")

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_WAIT_SECONDS", 0.001)


async def test_a_source_that_fails_is_run_again(runtime: Runtime) -> None:
    source = Scripted("unreachable", "fault", "unreachable", "stay")
    supervisor = Supervisor([source], runtime)
    assert supervisor.status()[0].state == "starting"
    supervisor.start()
    await asyncio.wait_for(source.reached.wait(), 5)
    status = supervisor.status()[0]
    assert (status.state, status.restarts, status.detail) == ("running", 3, None)
    await supervisor.stop()
    assert source.closed
    assert supervisor.status()[0].state == "ended"


async def test_a_source_that_ends_is_left_alone(runtime: Runtime) -> None:
    source = Scripted("end")
    supervisor = Supervisor([source], runtime)
    supervisor.start()
    await asyncio.wait_for(source.reached.wait(), 5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (supervisor.status()[0].state, source.script) == ("ended", [])
    await supervisor.stop()


async def test_an_error_while_it_is_cancelled_does_not_keep_it_running(runtime: Runtime) -> None:
    source = Scripted("stubborn", "stay")
    supervisor = Supervisor([source], runtime)
    supervisor.start()
    await asyncio.wait_for(source.reached.wait(), 5)
    await asyncio.wait_for(supervisor.stop(), 5)
    assert source.script == ["stay"]


async def test_one_that_fails_does_not_disturb_the_others(runtime: Runtime) -> None:
    bad, good = Scripted(*["fault"] * 50, "stay"), Scripted("stay")
    good.name = "good"
    supervisor = Supervisor([bad, good], runtime)
    supervisor.start()
    await asyncio.wait_for(good.reached.wait(), 5)
    assert supervisor.status()[1].state == "running"
    await supervisor.stop()


@pytest.mark.parametrize(("seconds", "warned"), [(0, True), (60, False)])
async def test_a_source_whose_messages_can_come_again_asks_for_the_setting_that_removes_repeats(
    runtime: Runtime, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, seconds: float, warned: bool
) -> None:
    monkeypatch.setattr(runtime, "settings", runtime.settings.model_copy(update={"dedupe_seconds": seconds}))
    once, again = Scripted("stay"), Scripted("stay")
    again.name, again.guarantee = "again", "at-least-once"
    supervisor = Supervisor([once, again], runtime)
    supervisor.start()
    await supervisor.stop()
    said = [record.source for record in caplog.records if record.message == "source repeats"]  # type: ignore[attr-defined]
    assert said == (["again"] if warned else [])
