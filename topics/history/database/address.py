"""Where the database is: `GATEWAY_DATABASE_URL` as Django reads it."""

from pathlib import Path
from typing import Any

import dj_database_url

ADVICE = "it must be a URL such as sqlite:///gateway.sqlite3 or postgres://user:password@host/name"

BUSY_SECONDS = 5
"""Longest wait for a lock of the database."""

CONNECT_SECONDS = 3
"""Longest wait for a connection to it."""

SILENT_SECONDS = 10
"""After which a peer that acknowledges nothing counts as gone."""


def databases(url: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return Django's `DATABASES`.

    Args:
        url: As dj-database-url reads it.
        folder: Where the path of an SQLite file begins that is not absolute.

    Raises:
        ValueError: The URL names no database that Django knows.
    """
    try:
        database: dict[str, Any] = {**dj_database_url.parse(url)}
    except ValueError:
        # Its own message lists everything that there is.
        raise ValueError(ADVICE) from None
    options: dict[str, Any] = database.setdefault("OPTIONS", {})
    if database["ENGINE"].endswith(".sqlite3"):
        if not database["NAME"] or database["NAME"] == ":memory:":
            raise ValueError("an SQLite database must be a file; write sqlite:///gateway.sqlite3")
        database["NAME"] = str(folder / database["NAME"])
        # Readers and the writer do not wait for each other; what was answered survives a power cut.
        options.setdefault("init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("timeout", BUSY_SECONDS)
    elif database["ENGINE"].endswith(".postgresql"):
        options.setdefault("connect_timeout", CONNECT_SECONDS)
        options.setdefault("tcp_user_timeout", SILENT_SECONDS * 1000)
    return {"default": database}
