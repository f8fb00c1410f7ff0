"""`GET /sse`: a subscriber over Server-Sent Events."""

from channels.exceptions import StopConsumer

from topics.asgi import Message
from topics.connection import Connection
from topics.consumers.base import StreamConsumer
from topics.consumers.stream import SSE_HEADERS, open_stream, response_writer
from topics.consumers.subscription import Subscription, header, read_subscription
from topics.cors import Cors
from topics.encoding import Format
from topics.exceptions import InvalidInput, PlacementUnavailable, Refused
from topics.problems import from_exception, method_not_allowed
from topics.process import running
from topics.responses import refuse, respond
from topics.runtime import Runtime
from topics.wire import sse

ALLOW = "GET, HEAD, OPTIONS"
REQUEST_HEADERS = "x-sse-topic, last-event-id, cache-control"


class SseConsumer(StreamConsumer):
    """One SSE connection.

    Args:
        cors: Which pages may subscribe.
    """

    _connection: Connection | None = None
    _runtime: Runtime

    def __init__(self, cors: Cors) -> None:
        super().__init__()
        self._cors = cors

    async def begin(self) -> None:
        """Answer the request; a stream then stays open until the client leaves or is closed."""
        try:
            self._runtime = await running()
        except PlacementUnavailable as error:
            await refuse(self.base_send, from_exception(error))
            raise StopConsumer from error
        settings = self._runtime.settings
        origin = header(self.scope, b"origin")
        headers = self._cors.response(origin)
        method = self.scope["method"]
        if method == "OPTIONS":
            allow = (b"allow", ALLOW.encode())
            await respond(self.base_send, 204, [allow, *self._cors.preflight(origin)])
            raise StopConsumer
        if method not in ("GET", "HEAD"):
            await refuse(self.base_send, method_not_allowed(method, ALLOW), headers)
            raise StopConsumer
        try:
            subscription = self.read()
            self._runtime.check_room(subscription.client)
            if method == "HEAD":
                await respond(self.base_send, 200, [*SSE_HEADERS, *headers])
                raise StopConsumer
            connection = self._runtime.connection(
                response_writer(self.scope, self.base_send),
                Format.SSE_JSON if subscription.form == "json" else Format.SSE,
                subscription.topics,
                client=subscription.client,
                user_agent=subscription.user_agent,
            )
            await self._runtime.attach(connection, subscription.last_id)
        except (InvalidInput, Refused, PlacementUnavailable) as error:
            await refuse(self.base_send, from_exception(error), headers)
            raise StopConsumer from error
        self._connection = connection
        opened = {
            "connection": connection.id,
            "topics": list(connection.topics),
            "node": self._runtime.node.name,
        }
        first = sse.encode_control("gateway.open", opened, retry=settings.retry_ms)
        await open_stream(self.base_send, connection, headers, first)
        self.opened(connection)

    def read(self) -> Subscription:
        """Read the request.

        Raises:
            InvalidInput: Which part of it is wrong, and what to do.
        """
        return read_subscription(self.scope, self._runtime.settings, formats=("raw", "json"))

    def opened(self, connection: Connection) -> None:
        """Act once the stream has begun."""

    async def http_disconnect(self, message: Message) -> None:
        """End: the client has gone, or the response is complete."""
        raise StopConsumer

    async def finish(self) -> None:
        """Take the connection from hub and placement."""
        if self._connection is not None:
            await self._runtime.detach(self._connection)
