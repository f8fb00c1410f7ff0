"""The older Rust service's API: `POST /api/send` and `GET /api/stats`."""

import json
import logging
from typing import Any

from publishing import service
from publishing.body import BodyRefused, ClientGone, read_body
from publishing.exceptions import problem
from publishing.keys import Keys
from publishing.sources.events import make_event
from publishing.sources.formats import NotAnEvent, channel_message, text_of
from topics.asgi import Application, Receive, Scope, Send
from topics.consumers.subscription import header
from topics.cors import Cors
from topics.events import rfc3339
from topics.exceptions import InvalidInput, PlacementUnavailable
from topics.placement.base import MAX_PAGE, ConnectionRecord
from topics.problems import Problem, from_exception, method_not_allowed, unauthorized
from topics.process import running
from topics.responses import refuse, respond

logger = logging.getLogger(__name__)

CHANNEL_PREFIX = "channel:"


class OlderApi:
    """Both endpoints.

    Args:
        keys: Who may use them.
        open_to_all: Whether they answer without a key, as the older service did.
        cors: Which pages may.
        max_body_bytes: Largest body.
        body_seconds: Longest time that a body may take.
    """

    def __init__(self, *, keys: Keys, open_to_all: bool, cors: Cors, max_body_bytes: int, body_seconds: float) -> None:
        self._keys = keys
        self._open = open_to_all
        self._cors = cors
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds
        if open_to_all:
            logger.warning("older api open")

    def endpoints(self) -> dict[str, Application]:
        """Return the endpoints by path."""
        return {"/api/send": self._send, "/api/stats": self._stats}

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await self._admitted(scope, send, "POST, OPTIONS"):
            return
        cors = self._cors.response(header(scope, b"origin"))
        try:
            body = await read_body(receive, limit=self._max_body_bytes, seconds=self._body_seconds)
            text = text_of(body)
            if not isinstance(json.loads(text), dict):
                raise NotAnEvent("The body is not a JSON object.")
            message = channel_message(text, None)
            if message.data is text:
                raise NotAnEvent("data is missing.")
            runtime = await running()
            event = make_event(
                [message.topic], message.data, message.id, message.event, None, settings=runtime.settings
            )
            routed = await service.publish(runtime, event)
        except ClientGone:
            return
        except BodyRefused as refusal:
            await refuse(send, refusal.problem, cors)
        except (NotAnEvent, RecursionError) as error:
            await refuse(send, Problem(400, "invalid-body", str(error) or "The body is nested too deeply."), cors)
        except InvalidInput as error:
            await refuse(send, problem(error), cors)
        except ValueError:
            await refuse(send, Problem(400, "invalid-body", "The body is not JSON; send an object."), cors)
        except PlacementUnavailable as error:
            await refuse(send, from_exception(error), cors)
        else:
            await self._answer(scope, send, {"success": True, "sent_count": routed.subscribers})

    async def _stats(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await self._admitted(scope, send, "GET, OPTIONS"):
            return
        try:
            placement = (await running()).placement
            records: list[ConnectionRecord] = []
            page = await placement.connections(limit=MAX_PAGE)
            records += page.items
            while page.next is not None:
                page = await placement.connections(limit=MAX_PAGE, after=page.next)
                records += page.items
        except PlacementUnavailable as error:
            await refuse(send, from_exception(error), self._cors.response(header(scope, b"origin")))
            return
        listed = [_shown(record) for record in records]
        await self._answer(scope, send, {"total_connections": len(listed), "connections": listed})

    async def _admitted(self, scope: Scope, send: Send, allow: str) -> bool:
        """Tell whether to go on; if not, the request has been answered."""
        origin = header(scope, b"origin")
        if scope["method"] == "OPTIONS":
            await respond(send, 204, [(b"allow", allow.encode()), *self._cors.preflight(origin)])
            return False
        cors = self._cors.response(origin)
        if scope["method"] != allow.partition(",")[0]:
            await refuse(send, method_not_allowed(scope["method"], allow), cors)
            return False
        if self._open or self._keys.allows(header(scope, b"authorization"), header(scope, b"x-api-key")):
            return True
        await refuse(send, unauthorized(), cors)
        return False

    async def _answer(self, scope: Scope, send: Send, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *self._cors.response(header(scope, b"origin")),
        ]
        await respond(send, 200, headers, body)


def _shown(record: ConnectionRecord) -> dict[str, object]:
    channels = [name.removeprefix(CHANNEL_PREFIX) for name in record.topics if name.startswith(CHANNEL_PREFIX)]
    return {
        "id": record.id,
        "channel_id": channels[0] if channels else None,
        "topics": list(record.topics),
        "client": record.client,
        "connected_at": rfc3339(record.since),
    }
