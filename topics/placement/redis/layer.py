"""The event channel: channels-redis groups, one a topic, joined once a process."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.serializers import registry
from redis.asyncio.connection import Connection

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.placement.base import Drop
from topics.placement.redis.address import Address
from topics.placement.redis.commands import UNREACHABLE, unavailable
from topics.placement.redis.envelope import Envelope, unpack_drop, unpack_event
from topics.placement.redis.shard import Inlet, use_shards
from topics.placement.redis.streams import Stream

logger = logging.getLogger(__name__)

registry.register_serializer("sse-gateway", Envelope)


class _Quiet(logging.Filter):
    """Leaves out what channels-redis says of each attempt to reach a Redis that is away; the placement says it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, UNREACHABLE)


logging.getLogger("channels_redis.pubsub").addFilter(_Quiet())


FLUSH_SECONDS = 5.0
"""Longest wait for the layer to let go of its connections."""


class EventChannel:
    """This node's end of the channel layer.

    Args:
        address: Of the Redis.
        prefix: Of every name in it.
        on_event: Takes an event, once, however many of its topics this node holds.
        on_drop: Takes a dropped publish.
        on_gap: Takes a topic and the number of events missed, None when unknown.
        on_note: Takes what another node says.
        on_doubt: Called when streams need new marks.
    """

    def __init__(
        self,
        address: Address,
        prefix: str,
        *,
        on_event: Callable[[Event], None],
        on_drop: Callable[[Drop], None],
        on_gap: Callable[[str, int | None], None],
        on_note: Callable[[dict[str, Any]], None],
        on_doubt: Callable[[], None],
    ) -> None:
        self._address = address
        self._layer = RedisPubSubChannelLayer(
            hosts=[address.layer_host(self._connected)], prefix=prefix, serializer_format="sse-gateway"
        )
        self._on_event = on_event
        self._on_drop = on_drop
        self._on_gap = on_gap
        self._on_note = on_note
        self._on_doubt = on_doubt
        self.name = ""
        """The channel on which other nodes reach this one."""
        self.streams: dict[str, Stream] = {}
        self._last_identity = b""
        self._is_open = False

    async def open(self) -> None:
        """Subscribe to this node's own channel, and to every topic that was joined. The channel must be closed.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        layer = self._layer._get_layer()
        use_shards(layer)
        for shard in layer._shards:
            shard._ensure_redis()
            self._address.follow(shard._redis)
        try:
            self.name = await self._layer.new_channel("node.")
            # Nobody knows the name yet.
            layer.channels[self.name] = Inlet(self._receive)
            for topic, stream in list(self.streams.items()):
                stream.doubt()
                await self._layer.group_add(topic, self.name)
        except UNREACHABLE as error:
            raise unavailable(error) from error
        self._is_open = True
        self._on_doubt()

    async def close(self) -> None:
        """Unsubscribe from everything. What was joined is kept for `open`."""
        self._is_open = False
        for shard in self._layer._shards:
            if shard._receive_task is not None and shard._receive_task.done():
                # Its exception would end the flush half-way, each time, and no other receiver would ever be started.
                shard._receive_task = None
        with contextlib.suppress(*UNREACHABLE):
            # Should its receiver survive the one cancellation that it gets, this hands on another.
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._layer.flush()

    async def join(self, topic: str) -> Stream:
        """Subscribe to a topic; its stream is confirmed by a mark.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        stream = self.streams.get(topic)
        if stream is None:
            stream = self.streams[topic] = Stream()
            try:
                await self._layer.group_add(topic, self.name)
            except UNREACHABLE as error:
                self.streams.pop(topic, None)
                raise unavailable(error) from error
        return stream

    async def leave(self, topic: str) -> None:
        """Undo `join`."""
        stream = self.streams.pop(topic, None)
        if stream is not None:
            stream.confirmed.set()
            # A channel that cannot be reached is opened anew, without this topic.
            with contextlib.suppress(*UNREACHABLE):
                await self._layer.group_discard(topic, self.name)

    async def send(self, channel: str, note: dict[str, Any]) -> None:
        """Say something to a node.

        Raises:
            PlacementUnavailable: Redis cannot be reached, or the channel is closed.
        """
        if not self._is_open:
            # The layer would look for Redis by itself, and perhaps find another than this node is with.
            raise PlacementUnavailable("The event channel is closed.")
        try:
            await self._layer.send(channel, note)
        except UNREACHABLE as error:
            raise unavailable(error) from error

    def doubtful(self) -> dict[str, Stream]:
        """Return the streams whose marks have not come."""
        return {topic: stream for topic, stream in self.streams.items() if not stream.confirmed.is_set()}

    def renew(self, topics: Iterable[str]) -> None:
        """Begin the streams of topics anew: what came while no connection held them was missed by nobody."""
        topics = list(topics)
        self.restart(topics)
        for topic in topics:
            stream = self.streams.get(topic)
            if stream is not None:
                stream.since, stream.last = None, 0

    def restart(self, topics: Iterable[str]) -> None:
        """Begin to count in the streams of topics anew."""
        for topic in topics:
            stream = self.streams.get(topic)
            if stream is not None:
                stream.epoch = None
                stream.doubt()

    def owe_gaps(self, topics: Iterable[str]) -> None:
        """Take note that connections must be told of a gap, before the next event or by `pay_gaps`."""
        for topic in topics:
            stream = self.streams.get(topic)
            if stream is not None:
                stream.missed, stream.due = True, False

    def pay_gaps(self) -> None:
        """Tell the gaps that are still owed."""
        for topic, stream in self.streams.items():
            if stream.missed:
                stream.missed = False
                self._on_gap(topic, None)

    async def _connected(self, connection: Connection) -> None:
        await connection.on_connect()
        # A subscription that was lost and is there again may have a hole, and no later event may ever show it.
        if self.streams:
            for stream in self.streams.values():
                stream.doubt()
            self._on_doubt()

    def _receive(self, message: bytes) -> None:
        try:
            self._take(message)
        except Exception:
            logger.exception("message failed")

    def _take(self, message: bytes) -> None:
        match message[:2]:
            case b"E ":
                _, epoch, seq, topic, identity, event = message.split(b" ", 5)
                self._advance(topic.decode(), epoch.decode(), int(seq), None)
                # An event of several topics comes for each of them, with nothing in between.
                if identity != self._last_identity:
                    self._last_identity = identity
                    self._on_event(unpack_event(event))
            case b"K ":
                _, epoch, seq, topic, position, identity, event = message.split(b" ", 6)
                self._advance(topic.decode(), epoch.decode(), int(seq), None)
                stream = self.streams.get(topic.decode())
                if stream is not None:
                    stream.last = int(position)
                if identity != self._last_identity:
                    self._last_identity = identity
                    self._on_event(unpack_event(event, int(position)))
            case b"M ":
                _, epoch, seq, topic, token, position = message.split(b" ")
                stream = self.streams.get(topic.decode())
                if stream is not None:
                    stream.begin(token.decode(), int(position))
                self._advance(topic.decode(), epoch.decode(), int(seq), token.decode())
            case b"D ":
                _, identity, drop = message.split(b" ", 2)
                if identity != self._last_identity:
                    self._last_identity = identity
                    self._on_drop(unpack_drop(drop))
            case _:
                self._on_note(json.loads(message[2:]))

    def _advance(self, topic: str, epoch: str, seq: int, token: str | None) -> None:
        stream = self.streams.get(topic)
        if stream is not None:
            missed = stream.advance(epoch, seq, token)
            if missed != 0:
                self._on_gap(topic, missed)
