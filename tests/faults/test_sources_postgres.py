"""The source `postgres`, on a PostgreSQL that is real, and ends and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import psycopg
import pytest

from publishing.sources.postgres import Postgres
from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.deadly_sources import break_off
from tests.faults.nodes import start_nodes
from tests.faults.subject import Subject
from tests.faults.test_sources_redis import ids_until, runs, state
from tests.faults.test_sources_streams import ATTEMPTS, die
from tests.gateway import ROOT
from tests.postgres_server import PostgresServer, needs_postgres
from tests.redis_server import RedisServer, needs_redis
from topics.conf import load

# Servers are killed and restarted: a minute for each gateway.
pytestmark = [needs_postgres, pytest.mark.slow]

OUTBOX = """
CREATE TABLE sse_gateway_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topics text NOT NULL,
    data text NOT NULL,
    id text,
    event text,
    retry integer,
    tries integer NOT NULL DEFAULT 0,
    dead timestamptz
);
CREATE FUNCTION sse_gateway_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('sse_gateway', ''); RETURN NULL; END $$;
CREATE TRIGGER sse_gateway_outbox_notify AFTER INSERT ON sse_gateway_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION sse_gateway_outbox_notify();
"""
"""As docs/how-to/sources/postgres.md gives it."""


def test_the_outbox_is_the_documents() -> None:
    assert OUTBOX in (ROOT / "docs" / "how-to" / "sources" / "postgres.md").read_text(encoding="utf-8")


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def execute(postgres: PostgresServer, statement: str, *values: object) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(statement.encode(), values or None)


def waiting(postgres: PostgresServer) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("SELECT topics, data, dead IS NOT NULL FROM sse_gateway_outbox").fetchall()


async def test_notifications_become_events(start: Start, postgres: PostgresServer) -> None:
    node = await start(sources="postgres", postgres_url=postgres.url)
    await runs(node, "postgres")
    async with node.sse("orders") as orders, node.sse("channel:7") as channel:
        for payload in (
            "not JSON",
            '{"data":"no topics"}',
            '{"topics":7,"data":"a"}',
            '{"topics":["orders"],"data":"a","retry":"soon"}',
            '{"topics":["orders","bills"],"data":{"order":7},"id":"7","event":"paid","retry":100}',
            '{"channel_id":7,"event_type":"n","data":"a"}',
        ):
            execute(postgres, "SELECT pg_notify('sse_gateway', %s)", payload)
        event = await orders.next_event()
        assert (event.id, event.event, event.data, event.retry) == ("7", "paid", '{"order":7}', "100")
        event = await channel.next_event()
        assert (event.event, event.data) == ("n", "a")
    source = (await node.get("/sources"))["items"][0]
    assert (source["guarantee"], source["dead"], source["published"]) == ("at-most-once", 4, 2)


async def test_large_events_go_through_the_outbox_and_dead_ones_stay_in_it(
    start: Start, postgres: PostgresServer
) -> None:
    execute(postgres, OUTBOX)
    node = await start(sources="postgres", postgres_url=postgres.url, postgres_outbox="sse_gateway_outbox")
    await runs(node, "postgres")
    async with node.sse("orders") as stream:
        insert = "INSERT INTO sse_gateway_outbox (topics, data, id, event) VALUES (%s, %s, %s, %s)"
        execute(postgres, insert, "bad topic", "a", None, None)
        execute(postgres, insert, "orders", "a" * 100_000, "large", "paid")
        execute(postgres, insert, "orders", "b", None, None)
        event = await stream.next_event()
        assert (event.id, event.event, len(event.data or "")) == ("large", "paid", 100_000)
        assert (await stream.next_event()).id == "outbox-3"

    async def settled() -> bool:
        return waiting(postgres) == [("bad topic", "a", True)]

    await eventually(settled, within=5)
    assert (await node.get("/sources"))["items"][0]["guarantee"] == "at-least-once"


async def test_the_outbox_loses_nothing_while_postgresql_ends_and_comes_back(
    start: Start, postgres: PostgresServer
) -> None:
    execute(postgres, OUTBOX)
    node = await start(sources="postgres", postgres_url=postgres.url, postgres_outbox="sse_gateway_outbox")
    await runs(node, "postgres")
    insert = "INSERT INTO sse_gateway_outbox (topics, data, id) VALUES ('orders', 'a', %s)"
    async with node.sse("orders") as stream:
        for number in range(120):
            if number == 60:
                await asyncio.to_thread(postgres.kill)
                await asyncio.to_thread(postgres.start)
            await asyncio.to_thread(execute, postgres, insert, f"order-{number}")
        seen = await ids_until(stream, "order-119")
        assert list(dict.fromkeys(seen)) == [f"order-{number}" for number in range(120)]
    await runs(node, "postgres")


async def test_a_row_that_ends_its_reader_is_given_up_and_no_other_one(
    start: Start, postgres: PostgresServer, server: str
) -> None:
    execute(postgres, OUTBOX)
    settings = {
        "sources": "tests.faults.deadly_sources.DeadlyPostgres",
        "postgres_url": postgres.url,
        "postgres_outbox": "sse_gateway_outbox",
    }
    for data in ("first", "poison", "last"):
        execute(postgres, "INSERT INTO sse_gateway_outbox (topics, data) VALUES ('orders', %s)", data)
    for _ in range(ATTEMPTS):
        await die(server, **settings)
    node = await start(source_attempts=ATTEMPTS, **settings)
    await runs(node, "postgres")
    assert waiting(postgres) == [("orders", "poison", True)]
    source = (await node.get("/sources"))["items"][0]
    # The first one was dealt with by a gateway that ended, the last one by this.
    assert (source["dead"], source["dropped"]) == (1, 1)
    # One that was corrected is published.
    async with node.sse("orders") as stream:
        execute(postgres, "UPDATE sse_gateway_outbox SET data = 'good', dead = NULL, tries = 0")
        execute(postgres, "SELECT pg_notify('sse_gateway', '')")
        assert (await stream.next_event()).data == "good"


async def test_a_row_that_was_broken_off_by_the_gateways_end_is_not_given_up(postgres: PostgresServer) -> None:
    execute(postgres, OUTBOX)
    execute(postgres, "INSERT INTO sse_gateway_outbox (topics, data) VALUES ('orders', 'good')")
    settings, _ = load(
        {
            "GATEWAY_API_KEYS": "k",
            "GATEWAY_POSTGRES_URL": postgres.url,
            "GATEWAY_POSTGRES_OUTBOX": "sse_gateway_outbox",
            "GATEWAY_SOURCE_ATTEMPTS": "1",
        }
    )
    for _ in range(3):
        await break_off(Postgres(settings))
    assert waiting(postgres) == [("orders", "good", False)]


async def test_bad_rows_hold_nothing_up(start: Start, postgres: PostgresServer) -> None:
    # A database without an encoding keeps whatever bytes it gets.
    execute(postgres, "CREATE DATABASE raw ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    url = postgres.url.replace("/postgres", "/raw")
    poison = [
        ("orders", b"\xff", None, None),
        ("orders", b"a" * 10_000_000, None, None),
        ("", b"no topic", None, None),
        ("bad topic", b"a", None, None),
        ("a" * 300, b"a", None, None),
        ("orders", b"a", "bad id", None),
        ("orders", b"a", None, "gateway.open"),
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(OUTBOX.encode())
        node = await start(sources="postgres", postgres_url=url, postgres_outbox="sse_gateway_outbox")
        await runs(node, "postgres")
        async with node.sse("orders") as stream:
            for row in (*poison, ("orders", "é".encode(), "after", None)):
                connection.execute(
                    "INSERT INTO sse_gateway_outbox (topics, data, id, event) "
                    "VALUES (%s, convert_from(%s, 'SQL_ASCII'), %s, %s)",
                    row,
                )
            after = await stream.next_event(within=20)
            assert (after.id, after.data) == ("after", "é")
            connection.execute("SELECT pg_notify('sse_gateway', convert_from(%s, 'SQL_ASCII'))", (b"\xff",))
            connection.execute("SELECT pg_notify('sse_gateway', %s)", ('{"topics":"orders","data":"again"}',))
            assert (await stream.next_event(within=20)).data == "again"

    async def settled() -> bool:
        source = (await node.get("/sources"))["items"][0]
        return bool((source["dead"], source["published"]) == (len(poison) + 1, 2))

    await eventually(settled, within=5)


async def test_a_password_that_is_wrong_is_told_but_not_shown(start: Start, postgres: PostgresServer) -> None:
    execute(postgres, "ALTER ROLE gateway PASSWORD 'right'")
    rules = postgres.data / "pg_hba.conf"
    rules.write_text("host all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8")
    execute(postgres, "SELECT pg_reload_conf()")
    url = postgres.url.replace("gateway@", "gateway:sesame-wrong@")
    node = await start(sources="postgres", postgres_url=url)
    await runs(node, "postgres", "failing")
    assert "password" in (await node.get("/sources"))["items"][0]["detail"]
    assert "sesame" not in node.running.log


@needs_redis
async def test_each_row_comes_once_on_three_nodes(start: Start, postgres: PostgresServer) -> None:
    execute(postgres, OUTBOX)
    with RedisServer() as redis:
        nodes: list[Subject] = await start_nodes(
            start, redis, sources="postgres", postgres_url=postgres.url, postgres_outbox="sse_gateway_outbox"
        )

        async def one_runs() -> bool:
            return sorted([await state(node, "postgres") for node in nodes]) == ["running", "standby", "standby"]

        await eventually(one_runs, within=15)
        async with nodes[0].sse("orders") as first, nodes[2].sse("orders") as second:
            ids = [f"order-{number}" for number in range(100)]
            execute(
                postgres,
                "INSERT INTO sse_gateway_outbox (topics, data, id) "
                "SELECT 'orders', 'a', id FROM json_array_elements_text(%s::json) AS id",
                json.dumps(ids),
            )
            assert await ids_until(first, ids[-1]) == ids
            assert await ids_until(second, ids[-1]) == ids
