"""Runs the Lua files. All commands of one turn of the event loop go out in one pipeline, in their order."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from topics.exceptions import PlacementUnavailable
from topics.placement.redis.link import Link

logger = logging.getLogger(__name__)

PIPELINE_COMMANDS = 256
"""Most commands in one pipeline: more would hold the event loop for too long at once."""

UNREACHABLE = (RedisError, OSError, RuntimeError, AttributeError)
"""What is raised when Redis cannot be reached.

Of a connection that has just been closed uvloop says RuntimeError. While one task finds that out, another that writes
to the same connection finds redis-py's writer gone: AttributeError.
"""

Argument = str | bytes | int | float

_SCRIPTS: dict[str, bytes] = {}
_DIGESTS: dict[str, str] = {}


def add_scripts(folder: Path) -> None:
    """Let `Commands` run the Lua files of a folder, each by its name."""
    for path in sorted(folder.glob("*.lua")):
        _SCRIPTS[path.stem] = path.read_bytes()
        _DIGESTS[path.stem] = hashlib.sha1(_SCRIPTS[path.stem], usedforsecurity=False).hexdigest()


add_scripts(Path(__file__).parent / "lua")


class Commands:
    """The way to Redis for everything that must keep its order.

    Args:
        client: Of the Redis.
        on_failure: Called when commands may have been lost.
    """

    def __init__(self, client: Redis, on_failure: Callable[[], None]) -> None:
        self._link = Link(client.connection_pool)
        self._on_failure = on_failure
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> asyncio.Future[Any]:
        """Send a script with all else of this turn.

        Args:
            script: Name of its file.
            keys: `KEYS`.
            arguments: `ARGV`.

        Returns:
            What it will answer, or `PlacementUnavailable`.
        """
        return self._put(("EVALSHA", _DIGESTS[script], len(keys), *keys, *arguments))

    async def ping(self) -> None:
        """Make a connection when there is none, and wait for an answer.

        Raises:
            PlacementUnavailable: None came.
        """
        await self._put(("PING",))

    def reconnect(self) -> None:
        """Have what is sent from now on go out on a new connection."""
        self._link.renew()

    async def close(self) -> None:
        """Send what waits; then no more may come."""
        if self._sender is not None:
            await asyncio.wait([self._sender])

    def _put(self, command: tuple[Argument, ...]) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting for it any more, which is no fault.
        answer.add_done_callback(_retrieve)
        self._waiting.append((command, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return answer

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:PIPELINE_COMMANDS], self._waiting[PIPELINE_COMMANDS:]
            try:
                results = await self._execute([command for command, _ in batch])
            except Exception as error:
                # Whatever it is: an answer that never comes would hold up the lease, and with it this node, for good.
                if not isinstance(error, UNREACHABLE):
                    logger.exception("commands failed")
                self._fail(batch, error)
                continue
            failed = False
            for (_, answer), result in zip(batch, results, strict=True):
                if not isinstance(result, Exception):
                    if not answer.done():
                        answer.set_result(result)
                    continue
                failed = True
                if not answer.done():
                    answer.set_exception(unavailable(result))
            if failed:
                self._on_failure()

    async def _execute(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        results = await self._link.exchange(commands)
        missing = [index for index, result in enumerate(results) if isinstance(result, NoScriptError)]
        if missing:
            # A Redis that has been restarted knows no scripts; what it did not know it did not run.
            await self._link.exchange([("SCRIPT", "LOAD", code) for code in _SCRIPTS.values()])
            again = await self._link.exchange([commands[index] for index in missing])
            for index, result in zip(missing, again, strict=True):
                results[index] = result
        return results

    def _fail(self, batch: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]], error: Exception) -> None:
        # What waits behind it would only wait for the same time-out.
        batch, self._waiting = batch + self._waiting, []
        for _, answer in batch:
            if not answer.done():
                answer.set_exception(unavailable(error))
        self._on_failure()


def unavailable(error: BaseException) -> PlacementUnavailable:
    """Return the exception that stands for a failure of Redis."""
    failure = PlacementUnavailable("Redis cannot be reached.")
    failure.__cause__ = error
    return failure


def _retrieve(answer: "asyncio.Future[Any]") -> None:
    if not answer.cancelled():
        answer.exception()
