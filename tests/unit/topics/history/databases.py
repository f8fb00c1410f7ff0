"""Real databases for the tests of the history that is kept in one."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.db import connections

from topics.history.database.address import databases
from topics.models import HistoryEntry, HistoryEvent, HistoryHead, HistoryTopic

_numbers = itertools.count()


@contextmanager
def database(url: str, *, migrated: bool = True) -> Iterator[str]:
    """Make a database known to Django for a while; gives its alias."""
    alias = f"history-{next(_numbers)}"
    connections.settings[alias] = connections.configure_settings(databases(url, Path("/")))["default"]
    try:
        if migrated:
            call_command("migrate", database=alias, verbosity=0)
        connections[alias].close()
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


def empty(alias: str) -> None:
    """Take everything out of a database."""
    for model in (HistoryEntry, HistoryEvent, HistoryTopic, HistoryHead):
        model.objects.using(alias).all().delete()
    connections[alias].close()


def rows(alias: str) -> tuple[int, int, int]:
    """Return how many topics, entries and events are in a database."""
    topics, entries, events = (
        model.objects.using(alias).count() for model in (HistoryTopic, HistoryEntry, HistoryEvent)
    )
    # Each thread has a connection of its own.
    connections[alias].close()
    return topics, entries, events


class Template:
    """A migrated SQLite file, to be copied: migrating takes longer than most tests."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.sqlite3"
        with database(f"sqlite:///{self._file}"):
            pass

    def copy(self, folder: Path) -> str:
        """Return the URL of a new one."""
        file = folder / f"history-{next(_numbers)}.sqlite3"
        shutil.copy(self._file, file)
        return f"sqlite:///{file}"
