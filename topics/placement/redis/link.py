"""A connection to Redis that one user keeps: what a pool does for each command cost more than the command."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from topics.placement.redis.patience import SOCKET_SECONDS, Patience


class Link:
    """Sends pipelines, one after the other, on one connection of a pool, which is made again when it was lost.

    Args:
        pool: Knows where Redis is, and what each new connection must do first.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None
        self._patience = Patience(SOCKET_SECONDS, lasting=True)

    def renew(self) -> None:
        """Have the next pipeline go out on a new connection."""
        if self._connection is not None:
            self._connection.mark_for_reconnect()  # type: ignore[no-untyped-call]

    async def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands and return the answers, those that are errors included.

        Raises:
            RedisError, OSError: Redis cannot be reached, or did not answer in time.
        """
        connection = await self._connected()
        results: list[Any] = []
        try:
            async with self._patience:
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                for _ in commands:
                    try:
                        results.append(await connection.read_response())
                    except ResponseError as error:
                        results.append(error)
        except BaseException:
            # Whatever it was: the answers that have not been read must not be taken for those of the next.
            await connection.disconnect(nowait=True)
            raise
        return results

    async def _connected(self) -> AbstractConnection:
        connection = self._connection
        if connection is None:
            connection = self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        elif connection.should_reconnect() or not connection.is_connected or await connection.can_read():  # type: ignore[no-untyped-call]
            # There can be nothing to read but its end.
            await connection.disconnect(nowait=True)
            # As each new connection has it, until it is connected.
            connection.socket_timeout = SOCKET_SECONDS
            await connection.connect()  # type: ignore[no-untyped-call]
        # Patience stands in for it: redis-py makes a timer for each read, and for each write a task as well.
        connection.socket_timeout = None
        return connection
