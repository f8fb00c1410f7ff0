"""What a node tells Redis of the connections that it holds: the commands of attach.lua and detach.lua. Pure."""

import secrets
from collections.abc import Mapping, Sequence

from topics.placement.redis.commands import Argument
from topics.placement.redis.holdings import Held
from topics.placement.redis.keys import Keys

Command = tuple[str, list[str], list[Argument]]
"""Name of a script, `KEYS` and `ARGV`."""


def attach(
    keys: Keys, session: str, held: Held, topics: Sequence[str], counts: Mapping[str, int], tokens: Mapping[str, str]
) -> Command:
    """Add topics to a connection.

    Args:
        keys: Names in Redis.
        session: Under which this node registers.
        held: The connection, topics included.
        topics: Those to add.
        counts: Connections of each on this node, this one included.
        tokens: Of the marks that are wanted, by topic.
    """
    arguments: list[Argument] = [session, held.member, held.number, held.packed(), secrets.token_hex(6)]
    arguments.append(keys.channel_prefix)
    for topic in topics:
        arguments += [topic, counts[topic], tokens.get(topic, "")]
    own = [keys.order(session), keys.records(session), keys.held(session), keys.topics, keys.closed(session)]
    own.append(keys.position)
    return "attach", own + _tables(keys, session, topics), arguments


def detach(
    keys: Keys, session: str, held: Held, topics: Sequence[str], counts: Mapping[str, int], *, gone: bool
) -> Command:
    """Take topics from a connection.

    Args:
        keys: Names in Redis.
        session: Under which this node registers.
        held: The connection, without the topics.
        topics: Those to take.
        counts: Connections of each that are left on this node.
        gone: The connection itself has ended.
    """
    arguments: list[Argument] = [session, held.member, b"" if gone else held.packed()]
    for topic in topics:
        arguments += [topic, counts[topic]]
    own = [keys.order(session), keys.records(session), keys.held(session), keys.topics]
    return "detach", own + _tables(keys, session, topics), arguments


def _tables(keys: Keys, session: str, topics: Sequence[str]) -> list[str]:
    return [key for topic in topics for key in (keys.topic(topic), keys.members(session, topic))]
