"""The streams of older services: `/sse/connect?channel_id=`, `/sse?user_id=` and `/api/events`."""

import json
import time
from collections.abc import Callable

from channels.exceptions import StopConsumer

from gateway_project.older.heartbeat import Heartbeat
from publishing.sources.names import BROADCAST, channel_topic, user_topic
from topics.asgi import Application, Receive, Scope, Send
from topics.connection import Connection
from topics.consumers.sse import SseConsumer
from topics.consumers.subscription import Subscription, header, read_query, read_subscription
from topics.events import parse_topics, rfc3339
from topics.exceptions import InvalidInput
from topics.responses import respond

HEARTBEAT_SECONDS = 30.0

DEFAULT_TOPIC = "events"
"""What `/api/events` means without a topic."""

_FORMATS = ("raw", "json")


class _Beating(SseConsumer):
    """A stream with heartbeats that its client sees."""

    _heartbeat: Heartbeat | None = None

    async def finish(self) -> None:
        """End the heartbeats, too."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        await super().finish()

    def parameter(self, name: str) -> str:
        """Return a query parameter's first value, empty when it is not there."""
        return next((value for key, value in read_query(self.scope) if key == name), "")

    def also(self, topic: str, *more: str) -> Subscription:
        """Read the request as one for these topics."""
        checked = parse_topics([topic], limit=1, where="The query")
        return read_subscription(self.scope, self._runtime.settings, formats=_FORMATS, also=(*checked, *more))

    def beat(self, connection: Connection, payload: Callable[[], bytes]) -> None:
        """Begin with heartbeats."""
        self._heartbeat = Heartbeat(connection, HEARTBEAT_SECONDS, payload)


class ChannelStream(_Beating):
    """`GET /sse/connect?channel_id=ID`: the topic `channel:ID`, and broadcasts."""

    async def begin(self) -> None:
        """Answer a request without a channel in plain text, as its clients know it."""
        if self.scope["method"] in ("GET", "HEAD"):
            try:
                missing = not self.parameter("channel_id")
            except InvalidInput:
                missing = True
            if missing:
                headers = [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    *self._cors.response(header(self.scope, b"origin")),
                ]
                await respond(self.base_send, 400, headers, b"channel_id is required")
                raise StopConsumer
        await super().begin()

    def read(self) -> Subscription:
        """See `SseConsumer`."""
        return self.also(channel_topic(self.parameter("channel_id")), BROADCAST)

    def opened(self, connection: Connection) -> None:
        """See `SseConsumer`."""
        self.beat(connection, lambda: _event({"time": rfc3339(time.time())}, "heartbeat"))


class UserStream(_Beating):
    """`GET /sse?user_id=N`: the topic `user:N`, with a confirmation at once.

    Args:
        default: User of a request that names none.
    """

    def __init__(self, default: str = "", **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self._default = default

    def read(self) -> Subscription:
        """See `SseConsumer`."""
        self._user = self.parameter("user_id") or self._default
        return self.also(user_topic(self._user))

    def opened(self, connection: Connection) -> None:
        """See `SseConsumer`."""
        connection.tell(_event({"type": "connected", "user_id": self._user}))
        self.beat(connection, lambda: _event({"type": "heartbeat", "time": rfc3339(time.time())}))


class TutorialStream(SseConsumer):
    """`GET /api/events?topic=…`: as `/sse`, with a topic for a page that names none."""

    def read(self) -> Subscription:
        """See `SseConsumer`."""
        given = header(self.scope, b"x-sse-topic") or any(name == "topic" for name, _ in read_query(self.scope))
        also = () if given else (DEFAULT_TOPIC,)
        return read_subscription(self.scope, self._runtime.settings, formats=_FORMATS, also=also)


def by_user(stream: Application, users: Application, *, default: str) -> Application:
    """Return `/sse` for both kinds of clients.

    Args:
        stream: For those that name topics.
        users: For those that name a user.
        default: The user of those that name neither; empty where topics are asked for.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        query: bytes = scope["query_string"]
        named = query.startswith(b"user_id=") or b"&user_id=" in query
        if not named and default:
            named = b"topic=" not in query and header(scope, b"x-sse-topic") is None
        await (users if named else stream)(scope, receive, send)

    return application


def _event(data: object, event: str | None = None) -> bytes:
    first = f"event: {event}\n" if event else ""
    return f"{first}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
