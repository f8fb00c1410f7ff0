"""Databases for the stores that keep history in one: SQLite files, and one PostgreSQL for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.postgres_server import PostgresServer
from tests.unit.topics.history.databases import Template, database, empty


@pytest.fixture(scope="session")
def real_databases(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The tests' own databases are opened by threads of the store, and by no test's transaction."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def template(real_databases: None, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def sqlite(template: Template, tmp_path: Path) -> Iterator[str]:
    """Alias of an SQLite file with nothing in it."""
    with database(template.copy(tmp_path), migrated=False) as alias:
        yield alias


@pytest.fixture(scope="session")
def postgres_server(real_databases: None) -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    with database(postgres_server.url) as alias:
        yield alias


@pytest.fixture
def postgres(migrated_postgres: str, postgres_server: PostgresServer) -> str:
    """Alias of a PostgreSQL with nothing in it."""
    if not postgres_server.running:
        postgres_server.start()
    empty(migrated_postgres)
    return migrated_postgres


@pytest.fixture(params=["sqlite", "postgres"])
def alias(request: pytest.FixtureRequest) -> str:
    """Alias of each of them."""
    found: str = request.getfixturevalue(request.param)
    return found
