"""A publisher that sends its events one after the other, and one that was refused again with the same id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tests.raw.http import Ended, HttpConnection, Response, parse_head, request
from tests.storm.judge import Publication
from tests.storm.plan import Post, Publisher, data_of

ANSWER_SECONDS = 20.0
AGAIN_SECONDS = 0.1
GIVE_UP_SECONDS = 60.0

_NOT_THERE = Response(parse_head(b"HTTP/1.1 503 Not There\r\n\r\n"), b"")
"""For a node that cannot be connected to: nothing was sent, which is as good as a 503."""


class Sender:
    """Publishes what is planned.

    Args:
        nodes: the addresses of the gateway's nodes.
        key: of the gateway.
        repeats_unanswered: whether an event that got no answer is sent again. It may have been taken, so the gateway
            must know its id (`GATEWAY_DEDUPE_SECONDS`). When not, it counts as not accepted, and all see it or nobody.
    """

    def __init__(self, nodes: Sequence[str], key: str, *, repeats_unanswered: bool) -> None:
        self.publications: list[Publication] = []
        self.refused = 0
        """Answers 503."""
        self.unanswered = 0
        self.faults: list[str] = []
        self.answered: dict[str, float] = {}
        """When each event was answered 200."""
        self._nodes = nodes
        self._key = key
        self._repeats_unanswered = repeats_unanswered
        self._connections: dict[str, HttpConnection] = {}

    async def go(self, plan: Publisher, until: asyncio.Event) -> None:
        """Publish what is planned until the event is set."""
        while not until.is_set():
            post = plan.post()
            if post.pause:
                await asyncio.sleep(post.pause)
            await self.publish(post)

    async def publish(self, post: Post) -> None:
        """Publish until it is answered 200; 503 is asked again, of the next node."""
        publication = Publication(post.id, post.topics)
        self.publications.append(publication)
        deadline = time.monotonic() + GIVE_UP_SECONDS
        node, response = post.node, None
        while time.monotonic() < deadline:
            response = await self._send(post, self._nodes[node % len(self._nodes)])
            if response is not None and response.status == 200:
                publication.accepted = True
                self.answered[post.id] = time.monotonic()
                return
            if response is None:
                self.unanswered += 1
                if not self._repeats_unanswered:
                    return
            elif response.status == 503:
                self.refused += 1
            else:
                break
            node += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.faults.append(f"{post.id} was answered {response.status if response else 'nothing'}")

    async def _send(self, post: Post, url: str) -> Response | None:
        """The answer; None when none came, though the event may have been sent."""
        headers = [
            ("authorization", f"Bearer {self._key}"),
            ("x-sse-topic", ",".join(post.topics)),
            ("x-sse-id", post.id),
        ]
        message = request("POST", "/publish", headers, data_of(post.id).encode())
        while True:
            try:
                connection = self._connections.pop(url, None) or await HttpConnection.open(url)
            except (OSError, TimeoutError):
                return _NOT_THERE
            try:
                response = await connection.exchange(message, "POST", within=ANSWER_SECONDS)
            except (Ended, TimeoutError):
                await connection.close()
                return None
            if response.closes or url in self._connections:
                await connection.close()
            else:
                self._connections[url] = connection
            return response

    async def close(self) -> None:
        """End its connections."""
        for connection in self._connections.values():
            await connection.close()
