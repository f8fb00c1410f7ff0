"""Whether the database has the tables, and the rows that must be there."""

from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from topics.exceptions import PlacementUnavailable
from topics.models import HistoryHead, HistoryTurn

APP = "topics"


def check(alias: str) -> None:
    """Refuse a database without this version's tables.

    Args:
        alias: Its name among Django's.

    Raises:
        PlacementUnavailable: It has not been migrated.
        django.db.Error: It cannot be reached.
    """
    executor = MigrationExecutor(connections[alias])
    if executor.migration_plan(executor.loader.graph.leaf_nodes(APP)):
        raise PlacementUnavailable("The tables of the history are missing or old; run: python manage.py migrate")


def fill(alias: str) -> None:
    """Make the rows that there is one of."""
    HistoryHead.objects.using(alias).bulk_create([HistoryHead(id=1)], ignore_conflicts=True)
    HistoryTurn.objects.using(alias).bulk_create([HistoryTurn(id=1)], ignore_conflicts=True)
