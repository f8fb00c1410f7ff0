"""`postgres`: what is sent with NOTIFY (at most once), and the rows of an outbox table (at least once)."""

import asyncio
import contextlib

from psycopg import AsyncConnection, OperationalError, errors, sql
from psycopg.rows import dict_row

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn, Unreachable
from publishing.sources.formats import NotAnEvent, event_message
from publishing.sources.postgres_outbox import Outbox, Row
from topics.conf import GatewaySettings

LOOK_SECONDS = 5.0
"""How often the outbox is looked at without being told, and PostgreSQL asked whether it is there."""

ANSWER_SECONDS = 5.0


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
        table = settings.postgres_outbox
        self._outbox = Outbox(table, settings.source_attempts) if table else None
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
                if self._outbox is not None:
                    await self._outbox.begin(reader, publish)
                publish.connected()
                while True:
                    if self._outbox is not None:
                        await self._outbox.empty(reader, publish)
                    await self._listen(listener, publish)
        except (OperationalError, errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn) as error:
            raise Unreachable(f"PostgreSQL: {_describe(error)}") from error
        except TimeoutError as error:
            raise Unreachable("PostgreSQL: it does not answer.") from error

    async def close(self) -> None:
        """See `Source`."""

    async def _connect(self) -> AsyncConnection[Row]:
        async with asyncio.timeout(ANSWER_SECONDS):
            # A server whose host has gone without a word is noticed; libpq's own patience is two hours.
            return await AsyncConnection.connect(
                self._url,
                autocommit=True,
                row_factory=dict_row,
                keepalives_idle=5,
                keepalives_interval=5,
                keepalives_count=2,
                tcp_user_timeout=15_000,
            )

    async def _listen(self, listener: AsyncConnection[Row], publish: Publish) -> None:
        """Publish what is sent, and return when the outbox is to be looked at."""
        try:
            async for notification in listener.notifies(timeout=LOOK_SECONDS, stop_after=1):
                if not notification.payload:
                    return
                await publish(**event_message(notification.payload))
        except NotAnEvent as error:
            publish.dead(str(error))
        except UnicodeDecodeError:
            publish.dead("It is not in the database's encoding.")
        async with asyncio.timeout(ANSWER_SECONDS):
            await listener.execute("SELECT 1")


def _describe(error: Exception) -> str:
    # The first line says what; further ones may repeat the connection's parameters, though never the password.
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
