"""What a session leaves behind when its node has left, died, or taken another session."""

from typing import Any

from redis.asyncio import Redis

from topics.placement.redis.commands import Commands
from topics.placement.redis.keys import Keys

CLOSED_SECONDS = 60
"""How long a removed session is remembered, for commands that were held up on their way."""

RELEASE_TOPICS = 200
"""Topics of a session that are removed in one step."""


async def release(session: str, commands: Commands, client: Redis, keys: Keys) -> None:
    """Remove all that was registered under a session; several nodes may do so at once.

    Args:
        session: Which is in no lease any more.
        commands: For what must keep its order.
        client: Of the same Redis.
        keys: Names in it.

    Raises:
        PlacementUnavailable: Redis cannot be reached; or what redis-py raises then (`commands.UNREACHABLE`).
    """
    await client.set(keys.closed(session), 1, ex=CLOSED_SECONDS)
    while True:
        names: Any = await client.srandmember(keys.held(session), RELEASE_TOPICS)
        if not names:
            break
        topics = [name.decode() for name in names]
        tables = [key for topic in topics for key in (keys.topic(topic), keys.members(session, topic))]
        await commands.run("release", [keys.held(session), keys.topics, *tables], [session, *topics])
    await client.delete(keys.order(session), keys.records(session))
    await client.srem(keys.graves, session)
