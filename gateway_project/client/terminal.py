"""What people read: one line for an event, one sentence for everything else."""

import json
import re
import unicodedata

from gateway_project.client.follow import Lost
from gateway_project.client.messages import (
    Close,
    Complaint,
    Dropped,
    Event,
    Gap,
    Message,
    Open,
    ReconnectionTime,
)

MOST_NAMES = 5
"""Topics that a sentence names."""

_LINE_ENDS = re.compile("\r\n|\r|\n")
# Unassigned and private characters are left alone: to a newer terminal they are emoji and symbols.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# A tab moves the cursor to the right and no further; the joiners hold emoji and scripts together.
_HARMLESS = frozenset({"\t", "\u200c", "\u200d"})


def printable(text: str) -> str:
    r"""`text` with every character made visible that a terminal would obey or that hides others.

    Events are written by strangers: an escape sequence must not retitle a window, a carriage return must
    not write over a line, a direction override must not turn words around. They come out as `\x1b` and
    the like. Line ends count as such characters.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character in _HARMLESS or unicodedata.category(character) not in _HARMFUL
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def event_text(event: Event | Dropped) -> str:
    """The event as one line; data of several lines follows indented, so that none can pass for an event."""
    time = printable(event.time)
    head = [time, ",".join(map(printable, event.topics)), printable(event.id)]
    if isinstance(event, Dropped):
        return "  ".join([*head, f"dropped: {dropped_because(event.reason)}"])
    head.append(printable(event.event))
    lines = [printable(line) for line in _LINE_ENDS.split(event.data)]
    if len(lines) == 1:
        return "  ".join([*head, lines[0]]).rstrip()
    return "\n    ".join(["  ".join(head), *lines])


def event_json(event: Event | Dropped) -> str:
    """The event as one line of JSON, in ASCII: nothing in it can harm a terminal."""
    return one_line_json(event.model_dump(mode="json"))


def one_line_json(value: dict[str, object]) -> str:
    """`value` as one line of JSON in ASCII (RFC 8259). DEL, which JSON leaves alone, is escaped too."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def notice(message: Message | Lost, url: str) -> str | None:
    """The sentence for what is not an event; None for what nobody needs to read."""
    match message:
        case Open():
            details = [_named(message.topics or [message.topic])]
            if message.connection:
                details.append(f"connection {printable(message.connection)}")
            if message.node:
                details.append(f"node {printable(message.node)}")
            return f"Connected to {url} ({', '.join(details)})."
        case Gap():
            missed = "events (how many is unknown)" if message.missed is None else plural(message.missed, "event")
            topic, reason = printable(message.topic), printable(message.reason)
            return f"Gap: {missed} of topic {topic} did not arrive ({reason})."
        case Complaint():
            return f"The gateway complains: {printable(message.detail)}"
        case Lost():
            return f"{printable(message.reason).rstrip('.')}. Connecting again in {message.delay:.1f} s."
        case Event() | Dropped() | Close() | ReconnectionTime():
            # The end that follows a close is told as a loss, with the reason and the wait.
            return None


def dropped_because(reason: str) -> str:
    """Why a publish was dropped, in words."""
    return "nobody is connected" if reason in ("", "no-subscribers") else printable(reason)


def plural(count: int, noun: str) -> str:
    """The number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _named(topics: list[str]) -> str:
    names = ", ".join(map(printable, topics[:MOST_NAMES]))
    if len(topics) == 1:
        return f"topic: {names}"
    return f"topics: {names}" if len(topics) <= MOST_NAMES else f"topics: {names} and {len(topics) - MOST_NAMES} more"
