"""Prints what a subscription or a tail brings."""

from contextlib import aclosing

from gateway_project.client.backoff import Backoff
from gateway_project.client.follow import Connect, follow
from gateway_project.client.messages import Dropped, Event
from gateway_project.client.output import Output, tell
from gateway_project.client.stopping import SUCCESS
from gateway_project.client.terminal import event_json, event_text, notice

RECONNECT_SECONDS = 3.0
"""Until a gateway says otherwise in `retry:`; its own default is the same."""

LONGEST_WAIT_SECONDS = 30.0


async def print_events(
    connect: Connect,
    output: Output,
    *,
    url: str,
    as_json: bool,
    count: int | None,
    last_event_id: str | None = None,
) -> int:
    """Print events to `output`, and all else that people should know to standard error.

    Args:
        connect: makes one connection.
        output: takes the events.
        url: the gateway's, for the sentences.
        as_json: one line of JSON for an event, instead of text.
        count: stop after so many events; None for never.
        last_event_id: the last event seen before.

    Returns:
        The exit code.

    Raises:
        Refused: the gateway will not give it.
        BrokenPipeError, OutputFailed, Interrupted: see `Output.line`.
    """
    write = event_json if as_json else event_text
    backoff = Backoff(RECONNECT_SECONDS, LONGEST_WAIT_SECONDS)
    seen = 0
    async with aclosing(follow(connect, backoff=backoff, last_event_id=last_event_id)) as messages:
        async for message in messages:
            if isinstance(message, Event | Dropped):
                output.line(write(message))
                seen += 1
                if seen == count:
                    return SUCCESS
            elif sentence := notice(message, url):
                tell(sentence)
    raise AssertionError("follow() goes on for ever")
