"""What one node asks another, through the event channel: its connections as they are now, its totals, a close."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from typing import Any

from topics.exceptions import PlacementUnavailable
from topics.placement.base import ConnectionRecord, LocalNode
from topics.placement.redis.layer import EventChannel
from topics.placement.redis.patience import Patience

ANSWER_SECONDS = 1.0
"""Longest wait for an answer, and for a message through the layer to this node itself."""


class Questions:
    """Asks other nodes, and answers them for this one.

    Args:
        channel: The event channel.
        local: This node.
        spawn: Runs what answers.
    """

    def __init__(
        self, channel: EventChannel, local: LocalNode, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._channel = channel
        self._local = local
        self._spawn = spawn
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def records(self, channel: str, connection_ids: Sequence[str]) -> dict[str, ConnectionRecord] | None:
        """Return a node's connections as they are now; None when it does not answer."""
        if channel == self._channel.name:
            found = map(self._local.connection, connection_ids)
            return {record.id: record for record in found if record is not None}
        answer = await self._ask(channel, "records", connection_ids)
        if answer is None:
            return None
        records = (ConnectionRecord(**{**record, "topics": tuple(record["topics"])}) for record in answer)
        return {record.id: record for record in records}

    async def status(self, channel: str) -> dict[str, Any] | None:
        """Return a node's `draining`, `counters` and `rates`; None when it does not answer."""
        if channel == self._channel.name:
            return self.describe()
        answer: dict[str, Any] | None = await self._ask(channel, "status", [])
        return answer

    async def close(self, channel: str, connection_id: str) -> bool:
        """Have a node close a connection.

        Raises:
            PlacementUnavailable: It does not answer.
        """
        if channel == self._channel.name:
            return self._local.close_connection(connection_id)
        closed = await self._ask(channel, "close", [connection_id])
        if closed is None:
            raise PlacementUnavailable("The node that holds the connection does not answer.")
        return bool(closed)

    async def echo(self) -> float | None:
        """Pass a message to this node itself; return the seconds that it took, None when it did not come."""
        begun = await self._send(self._channel.name, {"kind": "echo", "time": time.monotonic()})
        return None if begun is None else time.monotonic() - begun

    def hear(self, note: dict[str, Any]) -> None:
        """Take a note of kind `ask`, `answer` or `echo`."""
        match note["kind"]:
            case "ask":
                self._spawn(self._answer(note))
            case "echo":
                self._resolve(note["question"], note["time"])
            case "answer":
                self._resolve(note["question"], note["result"])

    def describe(self) -> dict[str, Any]:
        """Return what this node says of itself."""
        return {
            "channel": self._channel.name,
            "draining": self._local.draining,
            "counters": dict(self._local.counters()),
            "rates": dict(self._local.rates()),
        }

    async def _ask(self, channel: str, what: str, ids: Sequence[str]) -> Any:
        return await self._send(channel, {"kind": "ask", "what": what, "ids": ids, "from": self._channel.name})

    async def _send(self, channel: str, note: dict[str, Any]) -> Any:
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            async with Patience(ANSWER_SECONDS):
                await self._channel.send(channel, {**note, "question": number})
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._asked[number]

    async def _answer(self, note: dict[str, Any]) -> None:
        result: object
        match note["what"]:
            case "records":
                found = map(self._local.connection, note["ids"])
                result = [asdict(record) for record in found if record is not None]
            case "close":
                result = self._local.close_connection(note["ids"][0])
            case _:
                result = self.describe()
        with contextlib.suppress(PlacementUnavailable):
            await self._channel.send(note["from"], {"kind": "answer", "question": note["question"], "result": result})

    def _resolve(self, number: int, result: object) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(result)
