"""The command of keep.lua: an event that is kept, or whose publisher may try again. Pure."""

import json
import secrets
from collections.abc import Mapping, Sequence

from topics.events import Event
from topics.history.base import INDEXED_EVENTS
from topics.placement.base import Limits, Routed
from topics.placement.redis.commands import Argument
from topics.placement.redis.envelope import pack_rest
from topics.placement.redis.keys import Keys


def keys_of(keys: Keys, event: Event) -> list[str]:
    """Return `KEYS` behind those of the era."""
    found = [keys.position, keys.kept, keys.expiring, keys.vanished]
    for topic in event.topics:
        found += [keys.topic(topic), keys.stream(topic), keys.index(topic), keys.ids(topic)]
        found.append(keys.answer(topic, event.id))
    return found


def arguments_of(
    keys: Keys, event: Event, kept: Mapping[str, Limits], *, identity: str, dedupe_seconds: float, here: bool
) -> list[Argument]:
    """Return `ARGV` behind that of the era.

    Args:
        keys: Names in Redis.
        event: What was published.
        kept: Those of its topics that keep history.
        identity: Of this publish.
        dedupe_seconds: How long its answer is remembered; 0 is off.
        here: The history is kept in this Redis; otherwise its position has been given by the store.
    """
    arguments: list[Argument] = [event.id, repr(event.time), keys.channel_prefix, identity, pack_rest(event)]
    position = "" if here or event.position is None else event.position
    arguments += [secrets.token_hex(6), round(dedupe_seconds * 1000), position]
    for topic in event.topics:
        arguments += [topic, json.dumps(topic)]
        limits = kept.get(topic)
        if limits is None:
            arguments += ["", "", "", 0]
            continue
        most = INDEXED_EVENTS if limits.events is None else min(limits.events, INDEXED_EVENTS)
        arguments += ["here" if here else "elsewhere", "" if limits.events is None else limits.events]
        arguments += [milliseconds(limits), most]
    return arguments


def milliseconds(limits: Limits | None) -> Argument:
    """Return a topic's age as the Lua files take it: empty for none."""
    return "" if limits is None or limits.seconds is None else round(limits.seconds * 1000)


def routed(event: Event, answer: Sequence[int]) -> Routed:
    """Read keep.lua's answer, and give the event its position."""
    position, *told = answer
    if position:
        event.position = position
    counts: dict[str, int] = {}
    repeated: set[str] = set()
    for topic, count, again in zip(event.topics, told[::2], told[1::2], strict=True):
        if count >= 0:
            counts[topic] = count
        if again:
            repeated.add(topic)
    return Routed(counts, frozenset(repeated))
