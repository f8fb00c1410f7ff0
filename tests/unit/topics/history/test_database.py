"""The store in a database under the suite that every store passes, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.postgres_server import PostgresServer, needs_postgres
from tests.unit.topics.history.contract import HistoryContract
from tests.unit.topics.history.databases import Template, database
from tests.unit.topics.history.shelf import Stores
from topics.history.base import History
from topics.history.database.store import DatabaseHistory
from topics.history.rules import Rules
from topics.models import HistoryEntry, HistoryEvent, HistoryHead, HistoryTopic
from topics.placement.base import Placement
from topics.placement.memory import MemoryPlacement


@pytest.fixture(scope="module", autouse=True)
def real_databases(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with PostgresServer() as server, database(server.url) as alias:
        yield alias


@pytest.fixture
def sqlite(template: Template, tmp_path: Path) -> Iterator[str]:
    with database(template.copy(tmp_path), migrated=False) as alias:
        yield alias


@pytest.fixture
def empty_postgres(postgres: str) -> str:
    for model in (HistoryEntry, HistoryEvent, HistoryTopic, HistoryHead):
        model.objects.using(postgres).all().delete()
    return postgres


def stores_in(alias: str) -> Stores:
    def make(rules: Rules, dedupe_seconds: float) -> tuple[History, Placement]:
        return DatabaseHistory(rules, alias), MemoryPlacement(dedupe_seconds)

    return make


class TestOnSqlite(HistoryContract):
    @pytest.fixture
    def stores(self, sqlite: str) -> Stores:
        return stores_in(sqlite)


@needs_postgres
class TestOnPostgres(HistoryContract):
    @pytest.fixture
    def stores(self, empty_postgres: str) -> Stores:
        return stores_in(empty_postgres)
