"""`GET /api/v1/tail`: everything published to a topic, dropped publishes too, as SSE for administrators.

With `last` it begins with the last events that the topic keeps; those published meanwhile follow without a seam.

A tail is no connection: it is in no placement, so it never makes a topic exist.
"""

import re
from collections.abc import Sequence

from channels.exceptions import StopConsumer

from publishing.keys import Keys
from topics.asgi import Message
from topics.connection import Connection
from topics.consumers.base import StreamConsumer
from topics.consumers.stream import SSE_HEADERS, open_stream, response_writer
from topics.consumers.subscription import InvalidQuery, header, read_query
from topics.cors import Cors
from topics.encoding import Format
from topics.events import parse_topics
from topics.exceptions import InvalidInput, InvalidTopic, PlacementUnavailable, Refused
from topics.placement.base import MAX_PAGE
from topics.problems import from_exception, method_not_allowed, unauthorized
from topics.process import running
from topics.responses import refuse, respond
from topics.runtime import Runtime
from topics.wire import sse

ALLOW = "GET, HEAD, OPTIONS"

Query = Sequence[tuple[str, str]]


class TailConsumer(StreamConsumer):
    """One tail.

    Args:
        keys: Who may see it.
        cors: Which pages may.
    """

    _runtime: Runtime
    _tail: Connection | None = None
    _topic = ""

    def __init__(self, keys: Keys, cors: Cors) -> None:
        super().__init__()
        self._keys = keys
        self._cors = cors

    async def begin(self) -> None:
        """Answer the request; the stream then stays open until the administrator leaves."""
        origin = header(self.scope, b"origin")
        headers = self._cors.response(origin)
        method = self.scope["method"]
        if method == "OPTIONS":
            await respond(self.base_send, 204, [(b"allow", ALLOW.encode()), *self._cors.preflight(origin)])
            raise StopConsumer
        if method not in ("GET", "HEAD"):
            await refuse(self.base_send, method_not_allowed(method, ALLOW), headers)
            raise StopConsumer
        if not self._keys.allows(header(self.scope, b"authorization"), header(self.scope, b"x-api-key")):
            await refuse(self.base_send, unauthorized(), headers)
            raise StopConsumer
        try:
            query = read_query(self.scope)
            self._topic = _read_topic(query)
            last = _read_last(query)
            if method == "HEAD":
                await respond(self.base_send, 200, [*SSE_HEADERS, *headers])
                raise StopConsumer
            self._runtime = await running()
            tail = self._runtime.connection(
                response_writer(self.scope, self.base_send),
                Format.SSE_TAIL,
                (self._topic,),
            )
            kept = await self._runtime.attach_tail(self._topic, tail, last)
        except (InvalidInput, Refused, PlacementUnavailable) as error:
            await refuse(self.base_send, from_exception(error), headers)
            raise StopConsumer from error
        self._tail = tail
        opened = {"topic": self._topic, "node": self._runtime.node.name, "kept": kept}
        first = sse.encode_control("gateway.open", opened, retry=self._runtime.settings.retry_ms)
        await open_stream(self.base_send, tail, headers, first)

    async def http_disconnect(self, message: Message) -> None:
        """End: the administrator has gone, or the response is complete."""
        raise StopConsumer

    async def finish(self) -> None:
        """Take the tail from the hub."""
        if self._tail is not None:
            await self._runtime.detach_tail(self._topic, self._tail)


def _read_topic(query: Query) -> str:
    values = [value for name, value in query if name == "topic"]
    topics = parse_topics(values, limit=1, where="The query parameter topic")
    if not topics:
        raise InvalidTopic("No topic is given; send the query parameter topic.")
    return topics[0]


def _read_last(query: Query) -> int:
    values = [value for name, value in query if name == "last"]
    if not values:
        return 0
    if len(values) > 1 or not re.fullmatch(r"[0-9]{1,3}", values[0], re.ASCII) or not 1 <= int(values[0]) <= MAX_PAGE:
        raise InvalidQuery(f"last must be one whole number from 1 to {MAX_PAGE}, or be left out.")
    return int(values[0])
