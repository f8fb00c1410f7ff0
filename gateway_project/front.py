"""What stands before Django: the key, the body's limits and CORS, decided on headers before Django reads a byte."""

from publishing.admission import too_large
from publishing.body import BodyRefused, ClientGone, read_body
from publishing.keys import Keys
from topics import turns
from topics.asgi import Application, Message, Receive, Scope, Send
from topics.consumers.subscription import header
from topics.cors import Cors
from topics.problems import unauthorized
from topics.responses import refuse, respond

API_PREFIX = "/api/"
PUBLIC = frozenset({"/api/docs", "/api/v1/openapi.json"})
"""Paths under the prefix that tell nothing which is not in this repository."""


class Front:
    """Django behind its guard.

    Django's ASGI handler reads a body whole, to disk if need be, before any view can refuse it; so a stranger could
    fill the disk. Here a body is read only for a caller with a key, and only up to the limit.

    Args:
        django: The application.
        keys: Who may use the API.
        cors: Which pages may.
        max_body_bytes: Largest body.
        body_seconds: Longest time that a body may take.
    """

    def __init__(
        self, django: Application, *, keys: Keys, cors: Cors, max_body_bytes: int, body_seconds: float
    ) -> None:
        self._django = django
        self._keys = keys
        self._cors = cors
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let Django."""
        with turns.many_needed():
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(API_PREFIX):
            await self._django(scope, _Replay(b"", receive), send)
            return
        origin = header(scope, b"origin")
        if scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method") is not None:
            await respond(send, 204, self._cors.preflight(origin))
            return
        cors = self._cors.response(origin)

        async def send_with_cors(message: Message) -> None:
            if cors and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *cors]}
            await send(message)

        # What a path allows is no secret, and a client that asks has no key at hand yet.
        public = scope["path"] in PUBLIC or scope["method"] == "OPTIONS"
        if not public and not self._keys.allows(header(scope, b"authorization"), header(scope, b"x-api-key")):
            await refuse(send_with_cors, unauthorized())
            return
        declared = header(scope, b"content-length") or b"0"
        if len(declared) > 15 or not declared.isdigit() or int(declared) > self._max_body_bytes:
            await refuse(send_with_cors, too_large(self._max_body_bytes))
            return
        body = b""
        if not public and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            try:
                body = await read_body(receive, limit=self._max_body_bytes, seconds=self._body_seconds)
            except ClientGone:
                return
            except BodyRefused as refusal:
                await refuse(send_with_cors, refusal.problem)
                return
        await self._django(scope, _Replay(body, receive), send_with_cors)


class _Replay:
    """A `receive` that gives a body already read, then only the disconnect."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return message
