"""`redis-streams`: entries of Redis Streams, read as a consumer group. At least once: acknowledged after routing."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from publishing.sources.base import Guarantee, Misconfigured, Outcome, Publish, RunsOn, Unreachable
from publishing.sources.formats import NotAnEvent, optional_id, text_of
from publishing.sources.names import channel_topic
from publishing.sources.redis_subscription import describe, prepare
from topics.conf import GatewaySettings
from topics.placement.redis.address import parse_address

CONSUMER = "gateway"
"""One for all nodes, of which one reads at a time: whoever comes next goes on with what was not acknowledged."""

ENTRIES = 64
"""Most entries read at once."""

BLOCK_MS = 500
"""Longest wait for entries in one command; shorter than the client's time limit for an answer."""

DEAD_ENTRIES = 10_000
"""About so many dead messages are kept."""

Client = Any
"""`redis.asyncio.Redis`, whose answers redis-py types for every protocol and decoding at once."""

Entry = tuple[bytes, dict[bytes, bytes] | None]


class RedisStreams:
    """Streams of one Redis.

    Args:
        settings: The gateway's.
    """

    name = "redis-streams"
    guarantee: Guarantee = "at-least-once"
    # Every node could read, but then two nodes would publish entries of one stream in an order of their own.
    runs_on: RunsOn = "one-node"

    def __init__(self, settings: GatewaySettings) -> None:
        self._url = settings.redis_streams_url or settings.redis_url or ""
        self._keys = settings.redis_streams_keys
        self._group = settings.redis_streams_group
        self._attempts = settings.source_attempts

    def validate(self) -> None:
        """See `Source`."""
        if not self._url:
            raise Misconfigured("The source redis-streams needs a Redis; set GATEWAY_REDIS_STREAMS_URL.")
        if not self._keys:
            raise Misconfigured("The source redis-streams has nothing to read; set GATEWAY_REDIS_STREAMS_KEYS.")

    async def run(self, publish: Publish) -> None:
        """See `Source`."""
        client: Client = parse_address(self._url).client(prepare)
        try:
            async with client:
                for key in self._keys:
                    await self._make_group(client, key)
                for key in self._keys:
                    await self._bury_repeated(client, key, publish)
                publish.connected()
                await self._read(client, publish)
        except (RedisError, OSError) as error:
            raise Unreachable(f"Redis: {describe(error)}") from error

    async def close(self) -> None:
        """See `Source`."""

    async def _make_group(self, client: Client, key: str) -> None:
        try:
            # From the stream's beginning: a Redis that lost its groups has not lost what was added since.
            await client.xgroup_create(key, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _bury_repeated(self, client: Client, key: str, publish: Publish) -> None:
        """Give up entries that have been begun so often without an end: what reads them may not survive it."""
        pending = await client.xpending_range(key, self._group, "-", "+", ENTRIES, consumername=CONSUMER)
        for entry in pending:
            if entry["times_delivered"] > self._attempts:
                found = await client.xrange(key, entry["message_id"], entry["message_id"])
                reason = f"It was begun {entry['times_delivered']} times and never finished."
                publish.dead(reason, id=entry["message_id"].decode())
                await self._bury(client, key, entry["message_id"], found[0][1] if found else {}, reason)

    async def _read(self, client: Client, publish: Publish) -> None:
        # First what was read before and not acknowledged: one by one, so that an entry which ends its reader is not
        # counted for those behind it. Then what is new.
        positions = dict.fromkeys(self._keys, "0")
        while True:
            again = "0" in positions.values()
            answer = await client.xreadgroup(
                self._group, CONSUMER, positions, count=1 if again else ENTRIES, block=None if again else BLOCK_MS
            )
            for name, entries in answer or ():
                key = name.decode()
                if entries:
                    await self._deal_with(client, key, entries, publish)
                elif positions[key] != ">":
                    positions[key] = ">"

    async def _deal_with(self, client: Client, key: str, entries: Sequence[Entry], publish: Publish) -> None:
        done: list[bytes] = []
        try:
            for entry_id, fields in entries:
                # An entry that was deleted before it was acknowledged has no fields.
                if fields is not None:
                    await self._publish(client, key, entry_id, fields, publish)
                done.append(entry_id)
        finally:
            if done:
                await client.xack(key, self._group, *done)
            left = [entry_id for entry_id, _ in entries if entry_id not in done]
            if left:
                # The reader lives: whatever it is that they were not finished for, it is not that they end it.
                await client.xclaim(key, self._group, CONSUMER, 0, left, retrycount=0, justid=True)

    async def _publish(
        self, client: Client, key: str, entry_id: bytes, fields: Mapping[bytes, bytes], publish: Publish
    ) -> None:
        try:
            arguments = read(key, entry_id, fields)
        except NotAnEvent as error:
            publish.dead(str(error), id=entry_id.decode())
            await self._bury(client, key, entry_id, fields, str(error))
            return
        if await publish(**arguments) is Outcome.DEAD:
            await self._bury(client, key, entry_id, fields, "The log says why.")

    async def _bury(
        self, client: Client, key: str, entry_id: bytes, fields: Mapping[bytes, bytes], reason: str
    ) -> None:
        grave: dict[Any, Any] = {**fields, b"dead-id": entry_id, b"dead-reason": reason}
        await client.xadd(f"{key}:dead", grave, maxlen=DEAD_ENTRIES, approximate=True)
        await client.xack(key, self._group, entry_id)


def read(key: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Read an entry's fields: `data`, and if they are there `topics`, `channel_id`, `id`, `event` and `retry`.

    Args:
        key: The stream's; the topic of entries that name none.
        entry_id: The id of entries that have none: the same each time.
        fields: As they came.

    Returns:
        The arguments of `Publish`.

    Raises:
        NotAnEvent: There is no `data`, or a field is not UTF-8.
    """
    texts = {text_of(name): text_of(value) for name, value in fields.items()}
    if "data" not in texts:
        raise NotAnEvent("data is missing.")
    channel = texts.get("channel_id")
    topics = [channel_topic(channel)] if channel else [texts.get("topics", key)]
    return {
        "topics": topics,
        "data": texts["data"],
        "id": optional_id(texts.get("id")) or entry_id.decode(),
        "event": texts.get("event") or texts.get("event_type") or None,
        "retry": texts.get("retry") or None,
    }
