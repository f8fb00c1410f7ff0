"""`postgres`: what is sent with NOTIFY (at most once), and the rows of an outbox table (at least once)."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, OperationalError, errors, sql
from psycopg.rows import dict_row

from publishing.sources.base import Guarantee, Misconfigured, Outcome, Publish, RunsOn, Unreachable
from publishing.sources.formats import NotAnEvent, event_message
from topics.conf import GatewaySettings

LOOK_SECONDS = 5.0
"""How often the outbox is looked at without being told, and PostgreSQL asked whether it is there."""

ANSWER_SECONDS = 5.0

ROWS = 64
"""Most rows of the outbox taken at once."""

Row = dict[str, Any]


class Postgres:
    """One channel, and one table if it is named.

    Args:
        settings: The gateway's.
    """

    name = "postgres"
    # Every listener gets every notification.
    runs_on: RunsOn = "one-node"

    def __init__(self, settings: GatewaySettings) -> None:
        self._url = settings.postgres_url or ""
        self._channel = settings.postgres_channel
        self._outbox = settings.postgres_outbox
        self.guarantee: Guarantee = "at-least-once" if self._outbox else "at-most-once"

    def validate(self) -> None:
        """See `Source`."""
        if not self._url:
            raise Misconfigured("The source postgres needs a database; set GATEWAY_POSTGRES_URL.")

    async def run(self, publish: Publish) -> None:
        """See `Source`."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                listener = await stack.enter_async_context(await self._connect())
                reader = await stack.enter_async_context(await self._connect())
                await listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                publish.connected()
                while True:
                    await self._empty_outbox(reader, publish)
                    await self._listen(listener, publish)
        except (OperationalError, errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn) as error:
            raise Unreachable(f"PostgreSQL: {_describe(error)}") from error
        except TimeoutError as error:
            raise Unreachable("PostgreSQL: it does not answer.") from error

    async def close(self) -> None:
        """See `Source`."""

    async def _connect(self) -> AsyncConnection[Row]:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await AsyncConnection.connect(self._url, autocommit=True, row_factory=dict_row)

    async def _listen(self, listener: AsyncConnection[Row], publish: Publish) -> None:
        """Publish what is sent, and return when the outbox is to be looked at."""
        async for notification in listener.notifies(timeout=LOOK_SECONDS, stop_after=1):
            if not notification.payload:
                return
            try:
                await publish(**event_message(notification.payload))
            except NotAnEvent as error:
                publish.dead(str(error))
        async with asyncio.timeout(ANSWER_SECONDS):
            await listener.execute("SELECT 1")

    async def _empty_outbox(self, reader: AsyncConnection[Row], publish: Publish) -> None:
        if self._outbox is None:
            return
        table = sql.Identifier(*self._outbox.split("."))
        select = sql.SQL(
            "SELECT position, topics, data, id, event, retry FROM {} WHERE dead IS NULL "
            "ORDER BY position LIMIT {} FOR UPDATE SKIP LOCKED"
        ).format(table, sql.Literal(ROWS))
        rows: Sequence[Row] = [{}]
        while rows:
            failure: BaseException | None = None
            async with reader.transaction():
                rows = await (await reader.execute(select)).fetchall()
                done: list[int] = []
                dead: list[int] = []
                try:
                    for row in rows:
                        outcome = await _publish(row, publish)
                        (dead if outcome is Outcome.DEAD else done).append(row["position"])
                except BaseException as error:  # noqa: BLE001 - raised again below
                    # What has gone out goes from the table all the same, also when this node is to end.
                    failure = error
                await reader.execute(sql.SQL("DELETE FROM {} WHERE position = ANY(%s)").format(table), [done])
                await reader.execute(
                    sql.SQL("UPDATE {} SET dead = now() WHERE position = ANY(%s)").format(table), [dead]
                )
            if failure is not None:
                raise failure


async def _publish(row: Row, publish: Publish) -> Outcome:
    # The position is the same each time that the row is read.
    event_id = row["id"] or f"outbox-{row['position']}"
    return await publish([row["topics"]], row["data"], id=event_id, event=row["event"], retry=row["retry"])


def _describe(error: Exception) -> str:
    # The first line says what; further ones may repeat the connection's parameters, though never the password.
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
