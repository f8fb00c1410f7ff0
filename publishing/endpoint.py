"""`POST /publish`: the raw body is the event's data. Plain ASGI: no framework between the headers and the answer."""

import time
from json.encoder import encode_basestring_ascii as quoted

from publishing.admission import ALLOW, Admitted, admit
from publishing.body import BodyRefused, ClientGone, read_body
from publishing.keys import Keys
from publishing.service import deliverable, drop, publish
from topics import metrics
from topics.asgi import Receive, Scope, Send
from topics.consumers.subscription import header
from topics.cors import Cors, Headers
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.placement.base import Routed
from topics.problems import Problem, from_exception
from topics.process import running
from topics.responses import refuse, respond
from topics.runtime import Runtime

PUBLISH_HEADERS = "authorization, x-api-key, content-type, x-sse-topic, x-sse-id, x-sse-event, x-sse-retry"

DROPPED: Headers = [(b"x-sse-dropped", b"no-subscribers")]


class PublishEndpoint:
    """The endpoint as an ASGI application.

    Args:
        keys: Who may publish.
        cors: Which pages may.
        max_topics: Most topics in the list.
        max_event_bytes: Largest body, in bytes.
        body_seconds: Longest time that a body may take.
        broadcast: Whether a publisher may reach every connection.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        cors: Cors,
        max_topics: int,
        max_event_bytes: int,
        body_seconds: float,
        broadcast: bool = False,
    ) -> None:
        self._keys = keys
        self._cors = cors
        self._max_topics = max_topics
        self._max_event_bytes = max_event_bytes
        self._body_seconds = body_seconds
        self._broadcast = broadcast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = time.perf_counter()
        origin = header(scope, b"origin")
        if scope["method"] == "OPTIONS":
            await respond(send, 204, [(b"allow", ALLOW.encode()), *self._cors.preflight(origin)])
            return
        cors = self._cors.response(origin)
        admitted = admit(
            scope["method"],
            scope["headers"],
            keys=self._keys,
            max_topics=self._max_topics,
            max_event_bytes=self._max_event_bytes,
            broadcast=self._broadcast,
        )
        if isinstance(admitted, Problem):
            await refuse(send, admitted, cors)
            return
        try:
            answer = await self._publish(admitted, receive)
        except ClientGone:
            return
        except BodyRefused as refusal:
            await refuse(send, refusal.problem, cors)
            return
        except PlacementUnavailable as error:
            await refuse(send, from_exception(error), cors)
            return
        if answer is None:
            await respond(send, 204, [*DROPPED, *cors])
        else:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(answer)).encode()),
                *cors,
            ]
            await respond(send, 200, headers, answer)
        metrics.PUBLISH_SECONDS.observe(time.perf_counter() - begun)

    async def _publish(self, admitted: Admitted, receive: Receive) -> bytes | None:
        runtime: Runtime = await running()
        if not await deliverable(runtime, admitted.topics, admitted.id):
            await drop(runtime, admitted.topics, admitted.id)
            return None
        body = await read_body(receive, limit=self._max_event_bytes, seconds=self._body_seconds)
        try:
            data = body.decode()
        except UnicodeDecodeError as error:
            raise BodyRefused(
                Problem(400, "invalid-body", f"The body is not UTF-8 at byte {error.start}; send UTF-8 text.")
            ) from None
        event = Event(admitted.topics, admitted.id, data, admitted.event, admitted.retry)
        routed = await publish(runtime, event)
        if not routed.topics:
            return None
        return _answer(event.id, routed)


def _answer(event_id: str, routed: Routed) -> bytes:
    # By hand: the library's encoder is made anew for each call and takes four times as long.
    topics = ", ".join([f"{quoted(topic)}: {count}" for topic, count in routed.topics.items()])
    text = f'{{"id": {quoted(event_id)}, "subscribers": {routed.subscribers}, "topics": {{{topics}}}}}'
    return text.encode("ascii")
