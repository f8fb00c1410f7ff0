"""The store in a database that fails: nothing is half-stored, nobody waits for ever, and it comes back by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from tests.postgres_server import PostgresServer, needs_postgres
from tests.unit.topics.history.databases import Template, database
from tests.unit.topics.history.shelf import NODE, Ear, Shelf, last, rules
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.database import health
from topics.history.database.store import DatabaseHistory
from topics.placement.memory import MemoryPlacement

MANY = last(100_000)


async def shelf_in(alias: str) -> Shelf:
    placement, node = MemoryPlacement(), Ear()
    await placement.start(NODE, node)
    history = DatabaseHistory(rules(a=MANY), alias)
    await history.start()
    return Shelf(history, placement, node)


@pytest.fixture
async def on_postgres(postgres: str) -> AsyncIterator[Shelf]:
    shelf = await shelf_in(postgres)
    await shelf.join("a", "live")
    yield shelf
    await shelf.history.close()


@pytest.fixture
async def on_sqlite(sqlite: str) -> AsyncIterator[Shelf]:
    shelf = await shelf_in(sqlite)
    await shelf.join("a", "live")
    yield shelf
    await shelf.history.close()


def handed(shelf: Shelf) -> list[str]:
    return [event.id for event in shelf.node.handed]


async def publish_until_it_works(shelf: Shelf, event_id: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await shelf.publish(event_id, "a")
            except PlacementUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def publish_all_the_time(shelf: Shelf, answered: list[str], refused: list[str], stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        event_id = f"n{number}"
        number += 1
        try:
            await shelf.publish(event_id, "a")
        except PlacementUnavailable:
            refused.append(event_id)
            await asyncio.sleep(0.05)
        else:
            answered.append(event_id)


@needs_postgres
async def test_postgres_that_crashes_and_comes_back(
    on_postgres: Shelf, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "topics.history")
    answered: list[str] = []
    refused: list[str] = []
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish_all_the_time(on_postgres, answered, refused, stop))
    await on_postgres.until(lambda: _true(len(answered) > 20))
    await asyncio.to_thread(postgres_server.kill)
    await on_postgres.until(lambda: _true(len(refused) > 3))
    with pytest.raises(PlacementUnavailable):
        await on_postgres.history.read({"a": 0}, limit=9)
    # What keeps nothing is not concerned.
    assert dict((await on_postgres.placement.route(Event(("live",), "x", ""))).topics) == {"live": 1}
    before = len(answered)
    await asyncio.to_thread(postgres_server.start)
    await on_postgres.until(lambda: _true(len(answered) > before + 20))
    stop.set()
    await publishing
    kept = await on_postgres.everything({"a": 0}, 500)
    # What was answered is kept, once, in the order in which it was handed on.
    assert [one.event.id for one in kept if one.event.id in answered] == answered
    assert [event_id for event_id in handed(on_postgres) if event_id != "x"] == [
        one.event.id for one in kept if one.event.id not in refused
    ]
    assert [one.number["a"] for one in kept] == list(range(1, len(kept) + 1))
    said = [record.message for record in caplog.records if record.name.startswith("topics.history")]
    assert said == ["history store unavailable", "history store back"]


@needs_postgres
async def test_postgres_that_was_restarted_while_nobody_asked(
    on_postgres: Shelf, postgres_server: PostgresServer
) -> None:
    await on_postgres.publish("1", "a")
    await on_postgres.ids("a")
    await asyncio.to_thread(postgres_server.kill)
    await asyncio.to_thread(postgres_server.start)
    # Its connections are dead, and nobody is told.
    await on_postgres.publish("2", "a")
    assert await on_postgres.ids("a") == ["1", "2"]


@needs_postgres
async def test_postgres_that_came_back_is_noticed_though_nobody_publishes(
    on_postgres: Shelf, postgres: str, postgres_server: PostgresServer
) -> None:
    await on_postgres.publish("1", "a")
    await asyncio.to_thread(postgres_server.kill)
    with pytest.raises(PlacementUnavailable):
        await on_postgres.ids("a")
    assert not on_postgres.history.available
    await asyncio.to_thread(postgres_server.start)
    await on_postgres.until(lambda: _true(on_postgres.history.available))

    def longest_wait() -> str:
        with connections[postgres].cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            return str(cursor.fetchone()[0])

    # Its new connection waits for nobody's lock for ever.
    assert await on_postgres.history._own.writer.run(longest_wait) == "5s"  # type: ignore[attr-defined]


@needs_postgres
async def test_postgres_that_stands_still(
    on_postgres: Shelf, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.5)
    await on_postgres.publish("1", "a")
    await asyncio.to_thread(postgres_server.freeze)
    try:
        began = time.monotonic()
        answers = await asyncio.gather(
            *(on_postgres.publish(f"frozen-{number}", "a") for number in range(5)),
            on_postgres.history.locate(["a"], "1"),
            return_exceptions=True,
        )
        assert all(isinstance(answer, PlacementUnavailable) for answer in answers)
        assert time.monotonic() - began < 3
    finally:
        await asyncio.to_thread(postgres_server.thaw)
    await publish_until_it_works(on_postgres, "2")
    # Whose publishers were told that they failed are neither handed on nor kept.
    assert handed(on_postgres) == ["1", "2"]
    assert await on_postgres.ids("a") == ["1", "2"]


@needs_postgres
async def test_a_node_that_stands_still_in_its_turn_holds_up_nobody_for_ever(
    on_postgres: Shelf, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_postgres.publish("1", "a")
    holder = connections[postgres].copy()
    holder.inc_thread_sharing()
    await asyncio.to_thread(holder.connect)

    def hold() -> None:
        with holder.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 1000")
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM topics_historyturn WHERE id = 1 FOR UPDATE")

    await asyncio.to_thread(hold)
    began = time.monotonic()
    await publish_until_it_works(on_postgres, "2")
    assert time.monotonic() - began > 0.5
    await asyncio.to_thread(holder.close)
    assert await on_postgres.ids("a") == ["1", "2"]


async def test_sqlite_that_another_process_has_locked(
    sqlite: str, on_sqlite: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_sqlite.publish("1", "a")
    file = connections[sqlite].settings_dict["NAME"]
    await on_sqlite.history.close()
    monkeypatch.setitem(connections.settings[sqlite]["OPTIONS"], "timeout", 0.2)
    shelf = await shelf_in(sqlite)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PlacementUnavailable, match="locked"):
            await shelf.publish("2", "a")
        assert not shelf.history.available
        # Readers do not wait for it.
        assert await shelf.ids("a") == ["1"]
        other.execute("ROLLBACK")
    # That it is back is seen without a publish.
    await shelf.until(lambda: _true(shelf.history.available))
    await shelf.publish("3", "a")
    assert await shelf.ids("a") == ["1", "3"]
    assert handed(shelf) == ["3"]
    await shelf.history.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("not run: only root can make a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode:
        pytest.skip("not run: a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def on_small_disk(template: Template, small_disk: Path) -> Iterator[str]:
    with database(template.copy(small_disk), migrated=False) as alias:
        yield alias


async def test_sqlite_on_a_disk_that_is_full(on_small_disk: str, small_disk: Path) -> None:
    shelf = await shelf_in(on_small_disk)
    answered: list[str] = []
    refusal = ""
    while not refusal:
        try:
            await shelf.publish(str(len(answered)), "a", data="x" * 50_000)
        except PlacementUnavailable as error:
            refusal = str(error)
        else:
            answered.append(str(len(answered)))
    assert "full" in refusal or "disk" in refusal
    assert 2 <= len(answered) < 20
    # Nothing of what failed went out, and nothing stays.
    assert handed(shelf) == answered
    assert await shelf.ids("a") == answered
    with pytest.raises(PlacementUnavailable):
        await shelf.publish("more", "a", data="x" * 50_000)
    assert handed(shelf) == answered
    await asyncio.to_thread(subprocess.check_call, ["mount", "-o", "remount,size=4m", str(small_disk)])
    await shelf.publish("again", "a", data="x" * 50_000)
    assert await shelf.ids("a") == [*answered, "again"]
    await shelf.history.close()


@pytest.fixture
def not_migrated(real_databases: None, tmp_path: Path) -> Iterator[str]:
    with database(f"sqlite:///{tmp_path / 'later' / 'new.sqlite3'}", migrated=False) as alias:
        yield alias


async def test_a_database_without_tables_is_told_and_used_once_it_has_them(not_migrated: str) -> None:
    history = DatabaseHistory(rules(a=MANY), not_migrated)
    with pytest.raises(PlacementUnavailable, match="unable to open"):
        await history.start()
    Path(connections[not_migrated].settings_dict["NAME"]).parent.mkdir()
    with pytest.raises(PlacementUnavailable, match=r"run: python manage\.py migrate"):
        await history.start()
    with pytest.raises(PlacementUnavailable):
        await history.read({"a": 0}, limit=1)

    def migrate() -> None:
        call_command("migrate", database=not_migrated, verbosity=0)
        connections[not_migrated].close()

    await asyncio.to_thread(migrate)
    await history.start()
    assert await history.read({"a": 0}, limit=1) == []
    await history.close()


async def _true(value: bool) -> bool:
    return value
