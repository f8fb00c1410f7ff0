"""`GET /ws`: a subscriber over WebSocket."""

from typing import NoReturn

from channels.exceptions import StopConsumer

from topics.asgi import Message
from topics.connection import Connection
from topics.consumers.base import StreamConsumer
from topics.consumers.subscription import header, read_subscription
from topics.cors import Cors
from topics.encoding import Format
from topics.exceptions import InvalidInput, InvalidTopic, PlacementUnavailable, Refused
from topics.problems import Problem, from_exception
from topics.process import running
from topics.responses import deny
from topics.runtime import Runtime
from topics.wire.websocket import (
    CLOSE_POLICY,
    MAX_BAD_MESSAGES,
    Command,
    dumps,
    parse_command,
)
from topics.writer import EXTENSION, Framing, SendWriter, Writer


class WebSocketConsumer(StreamConsumer):
    """One WebSocket connection.

    Args:
        cors: Which pages may subscribe.
    """

    _connection: Connection | None = None
    _runtime: Runtime
    _bad_messages = 0

    def __init__(self, cors: Cors) -> None:
        super().__init__()
        self._cors = cors

    async def websocket_connect(self, message: Message) -> None:
        """Accept the handshake, or answer it with a problem."""
        try:
            self._runtime = await running()
            settings = self._runtime.settings
            # A browser asks nobody before it opens a WebSocket to another origin (RFC 6455 §10.2): check here.
            if not self._cors.allows(header(self.scope, b"origin")):
                await self._deny(Problem(403, "origin-not-allowed", "Pages of this origin may not subscribe here."))
            subscription = read_subscription(self.scope, settings, formats=("json", "raw"))
            self._runtime.check_room(subscription.client)
            connection = self._runtime.connection(
                self._writer(),
                Format.WEBSOCKET_RAW if subscription.form == "raw" else Format.WEBSOCKET_JSON,
                subscription.topics,
                client=subscription.client,
                user_agent=subscription.user_agent,
            )
            await self._runtime.attach(connection, subscription.last_id)
        except (InvalidInput, Refused, PlacementUnavailable) as error:
            await self._deny(from_exception(error))
        self._connection = connection
        await self.base_send({"type": "websocket.accept"})
        opened = {
            "type": "open",
            "connection": connection.id,
            "topics": list(connection.topics),
            "node": self._runtime.node.name,
        }
        connection.open(dumps(opened).encode())

    async def websocket_receive(self, message: Message) -> None:
        """Carry out a command; bad ones are answered, and repeated close the connection."""
        connection = self._connection
        if connection is None:
            return
        try:
            command = parse_command(message.get("text"), limit=self._runtime.settings.max_topics)
            answer = await self._carry_out(connection, command)
        except InvalidInput as error:
            self._bad_messages += 1
            self._tell({"type": "error", "detail": error.detail})
            if self._bad_messages >= MAX_BAD_MESSAGES:
                connection.end(CLOSE_POLICY)
            return
        except PlacementUnavailable:
            self._tell({"type": "error", "detail": "The placement store cannot be reached; try again."})
            return
        self._bad_messages = 0
        self._tell(answer)

    async def websocket_disconnect(self, message: Message) -> None:
        """End: the WebSocket is closed."""
        raise StopConsumer

    async def finish(self) -> None:
        """Take the connection from hub and placement."""
        if self._connection is not None:
            await self._runtime.detach(self._connection)

    async def _carry_out(self, connection: Connection, command: Command) -> dict[str, object]:
        if command.type == "ping":
            return {"type": "pong"}
        if command.type == "subscribe":
            limit = self._runtime.settings.max_topics
            if len(connection.topics | dict.fromkeys(command.topics)) > limit:
                raise InvalidTopic(f"A connection holds at most {limit} topics; unsubscribe from some first.")
            await self._runtime.subscribe(connection, command.topics, command.last_id)
            return {"type": "subscribed", "topics": list(connection.topics)}
        await self._runtime.unsubscribe(connection, command.topics)
        return {"type": "unsubscribed", "topics": list(connection.topics)}

    def _tell(self, value: dict[str, object]) -> None:
        if self._connection is not None:
            self._connection.tell(dumps(value).encode())

    def _writer(self) -> Writer:
        extension = (self.scope.get("extensions") or {}).get(EXTENSION)
        writer: Writer = extension["writer"] if extension else SendWriter(self.base_send, Framing.MESSAGE)
        return writer

    async def _deny(self, problem: Problem) -> NoReturn:
        await deny(self.scope, self.base_send, problem)
        raise StopConsumer
