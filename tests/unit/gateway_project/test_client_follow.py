import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway_project.client.backoff import Backoff
from gateway_project.client.exceptions import ClientError, Refused, Unavailable
from gateway_project.client.follow import Lost, follow
from gateway_project.client.messages import Close, Event, Message, Open, ReconnectionTime

Script = list[list[Message | ClientError]]


class ScriptOver(Refused):
    """Ends a follower, which goes on for ever otherwise."""


class Gateway:
    """Plays one connection of the script after the other, and notes what each was asked to resume after."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.resumed_after: list[str | None] = []
        self.slept: list[float] = []
        self.closed = 0

    async def connect(self, last_event_id: str | None) -> AsyncGenerator[Message, None]:
        self.resumed_after.append(last_event_id)
        if not self.script:
            raise ScriptOver("The script is over")
        try:
            for step in self.script.pop(0):
                if isinstance(step, ClientError):
                    raise step
                yield step
        finally:
            self.closed += 1

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def play(self, *, last_event_id: str | None = None) -> list[Message | Lost]:
        """Everything that a follower sees until the script is over."""
        backoff = Backoff(3, 30, uniform=lambda _low, high: high)
        seen: list[Message | Lost] = []
        following = follow(self.connect, backoff=backoff, last_event_id=last_event_id, sleep=self.sleep)
        with contextlib.suppress(ScriptOver):
            async with aclosing(following) as messages:
                async for message in messages:
                    seen.append(message)  # noqa: PERF401 - a comprehension would lose all when the script ends
        return seen


def event(event_id: str) -> Event:
    return Event(topics=["a"], id=event_id, data="x")


async def test_each_connection_resumes_after_the_last_event_of_the_one_before() -> None:
    broke = Unavailable("It broke")
    gateway = Gateway([[broke], [Open(), event("1"), event("2"), broke], [Open(), broke], [Open(), event("3")]])
    seen = await gateway.play(last_event_id="0")
    assert gateway.resumed_after == ["0", "0", "2", "2", "3"]
    assert [message.id for message in seen if isinstance(message, Event)] == ["1", "2", "3"]


async def test_waits_grow_while_no_connection_stands_and_start_anew_when_one_does() -> None:
    refused = Unavailable("connection refused")
    gateway = Gateway([[refused], [refused], [refused], [Open(), refused], [refused]])
    await gateway.play()
    assert gateway.slept == [3, 6, 12, 3, 6]


async def test_the_reconnection_time_of_the_stream_is_kept() -> None:
    broke = Unavailable("It broke")
    gateway = Gateway([[ReconnectionTime(500), Open(), broke], [broke], [ReconnectionTime(0), Open(), broke]])
    await gateway.play()
    assert gateway.slept == [0.5, 1, 0.1]


async def test_the_wait_of_a_close_stands_as_it_is_and_what_follows_is_not_waited_for() -> None:
    gateway = Gateway(
        [
            [
                ReconnectionTime(3000),
                Open(),
                ReconnectionTime(1234),
                Close(reason="shutdown", retry=1234),
                event("never"),
            ],
            [Open(), Close(reason="shutdown", retry=0)],
            [Open(), Close(reason="closed-by-administrator")],
        ]
    )
    seen = await gateway.play()
    assert gateway.slept == [1.234, 0.1, 1.234]
    assert gateway.closed == 3
    assert not [message for message in seen if isinstance(message, Event)]
    assert "The gateway closed the connection (shutdown)" in [m.reason for m in seen if isinstance(m, Lost)]


async def test_a_busy_gateway_is_given_the_time_that_it_asks_for() -> None:
    gateway = Gateway([[Unavailable("busy", retry_after=60)], [Unavailable("busy", retry_after=1)]])
    await gateway.play()
    assert gateway.slept == [60, 6]


async def test_an_orderly_end_is_a_loss_too() -> None:
    seen = await Gateway([[Open()]]).play()
    assert seen == [Open(), Lost("The stream ended", 3)]
