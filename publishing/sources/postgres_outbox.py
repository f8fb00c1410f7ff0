"""An outbox: a table whose rows are published in their order, and then deleted."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from publishing.sources.base import Outcome, Publish
from publishing.sources.formats import NotAnEvent, text_of

ROWS = 64
"""Most rows taken at once."""

Row = dict[str, Any]

_TEXTS = ("topics", "data", "id", "event")

# As bytes: in a database without an encoding a text that is not UTF-8 would end the reading of all.
_AS_BYTES = "convert_to({0}::text, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END) AS {0}"
_COLUMNS = ", ".join(["position", "retry", *[_AS_BYTES.format(name) for name in _TEXTS]])


class Outbox:
    """One table.

    Args:
        name: Its name, with that of its schema before a dot if need be.
        attempts: How often a row may be begun and not finished.
    """

    def __init__(self, name: str, attempts: int) -> None:
        self._attempts = attempts
        table = sql.Identifier(*name.split("."))

        def statement(text: str) -> sql.Composed:
            return sql.SQL(text).format(table=table, columns=sql.SQL(_COLUMNS), rows=sql.Literal(ROWS))

        self._begin = statement(
            "UPDATE {table} SET tries = tries + 1 WHERE position = (SELECT position FROM {table} WHERE dead IS NULL "
            "ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {columns}, tries"
        )
        self._forgive = statement("UPDATE {table} SET tries = tries - 1 WHERE position = %s")
        self._select = statement(
            "SELECT {columns} FROM {table} WHERE dead IS NULL ORDER BY position LIMIT {rows} FOR UPDATE SKIP LOCKED"
        )
        self._delete = statement("DELETE FROM {table} WHERE position = ANY(%s)")
        self._bury = statement("UPDATE {table} SET dead = now() WHERE position = ANY(%s)")

    async def begin(self, connection: AsyncConnection[Row], publish: Publish) -> None:
        """Publish the first rows one by one, and count how often each is begun: its reader may not survive it."""
        for _ in range(ROWS):
            row = await (await connection.execute(self._begin)).fetchone()
            if row is None:
                return
            position, before = row["position"], row["tries"] - 1
            if before >= self._attempts:
                outcome = publish.dead(f"It was begun {before} times and never finished.", id=f"outbox-{position}")
            else:
                try:
                    outcome = await _publish(row, publish)
                except BaseException:
                    # The reader lives: whatever it is that the row was not finished for, it is not that it ends it.
                    await connection.execute(self._forgive, [position])
                    raise
            await connection.execute(self._bury if outcome is Outcome.DEAD else self._delete, [[position]])

    async def empty(self, connection: AsyncConnection[Row], publish: Publish) -> None:
        """Publish all rows, many in a transaction."""
        rows: Sequence[Row] = [{}]
        while rows:
            failure: BaseException | None = None
            async with connection.transaction():
                rows = await (await connection.execute(self._select)).fetchall()
                done: list[int] = []
                dead: list[int] = []
                try:
                    for row in rows:
                        outcome = await _publish(row, publish)
                        (dead if outcome is Outcome.DEAD else done).append(row["position"])
                except BaseException as error:  # noqa: BLE001 - raised again below
                    # What has gone out goes from the table all the same, also when this node is to end.
                    failure = error
                await connection.execute(self._delete, [done])
                await connection.execute(self._bury, [dead])
            if failure is not None:
                raise failure


async def _publish(row: Row, publish: Publish) -> Outcome:
    # The position is the same each time that the row is read.
    position = f"outbox-{row['position']}"
    try:
        texts = {name: text_of(row[name]) for name in _TEXTS if row[name] is not None}
        if "data" not in texts:
            raise NotAnEvent("data is missing.")
    except NotAnEvent as error:
        return publish.dead(str(error), id=position)
    return await publish(
        [texts.get("topics", "")],
        texts["data"],
        id=texts.get("id") or position,
        event=texts.get("event") or None,
        retry=row["retry"],
    )
