"""Messages that are good, bad, or fail: what becomes of each, and of those behind them."""

from typing import Any

import pytest

from publishing.sources.base import Outcome
from publishing.sources.intake import Intake, NotTheOne
from tests.conformance.subject import eventually
from tests.django_api import Attach
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.placement.base import Routed
from topics.placement.memory import MemoryPlacement
from topics.runtime import Runtime


class Failing(MemoryPlacement):
    """Fails for some events, as a fault of ours would."""

    tries = 0
    away = 0

    async def route(self, event: Event, *arguments: Any, **options: Any) -> Routed:
        if self.away:
            self.away -= 1
            raise PlacementUnavailable("away")
        if event.id == "poison":
            self.tries += 1
            raise RuntimeError("a fault of ours")
        return await super().route(event, *arguments, **options)


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    return {"source_attempts": 3, "max_event_bytes": 10}


@pytest.fixture
def intake(runtime: Runtime) -> Intake:
    return Intake(runtime, "test", may_publish=lambda: True, on_connected=lambda: None)


async def test_a_message_is_published_or_dropped(intake: Intake, attach: Attach) -> None:
    assert await intake(["a"], "data") is Outcome.DROPPED
    connection = await attach("a")
    assert await intake(["a"], "data", id="1", event="message", retry=5) is Outcome.PUBLISHED

    async def arrived() -> bool:
        return connection.sent == 1

    await eventually(arrived)


@pytest.mark.parametrize(
    "arguments",
    [
        {"topics": []},
        {"topics": ["a b"]},
        {"topics": ["é"]},
        {"data": b"bytes"},
        {"data": "a" * 11},
        {"data": "é" * 6},
        {"data": "\ud800"},
        {"id": ""},
        {"id": "a,b"},
        {"event": "gateway.open"},
        {"event": "a\nb"},
        {"retry": -1},
        {"retry": "soon"},
    ],
)
async def test_what_is_no_event_is_dead(intake: Intake, attach: Attach, arguments: dict[str, Any]) -> None:
    connection = await attach("a")
    given = {"topics": ["a"], "data": "data", **arguments}
    assert await intake(given.pop("topics"), given.pop("data"), **given) is Outcome.DEAD
    assert intake.counts == {Outcome.DEAD: 1}
    assert connection.sent == 0


async def test_a_message_that_always_fails_is_given_up_and_the_next_one_goes_out(
    runtime: Runtime, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    placement = Failing()
    await placement.start(runtime.node, runtime.hub)
    runtime.placement = placement
    assert await intake(["a"], "secret", id="poison") is Outcome.DEAD
    assert placement.tries == 3
    assert await intake(["a"], "data", id="good") is Outcome.DROPPED
    assert "secret" not in caplog.text


async def test_it_waits_while_the_placement_store_is_away(runtime: Runtime, intake: Intake) -> None:
    placement = Failing()
    await placement.start(runtime.node, runtime.hub)
    runtime.placement = placement
    placement.away = 4
    assert await intake(["a"], "data") is Outcome.DROPPED
    assert placement.away == 0


async def test_a_node_that_is_not_the_one_publishes_nothing(runtime: Runtime, attach: Attach) -> None:
    connection = await attach("a")
    intake = Intake(runtime, "test", may_publish=lambda: False, on_connected=lambda: None)
    with pytest.raises(NotTheOne):
        await intake(["a"], "data")
    assert connection.sent == 0
