"""What a run that is kept says of itself: when it ended, of which commit, with which versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from benchmarks import machine
from tests.reporting.summary import versions


def provenance() -> dict[str, Any]:
    """Return the date, the commit (None where this is no clone), whether the code differs from it, and versions."""
    commit = machine.output_of(["git", "rev-parse", "HEAD"])
    changes = machine.output_of(["git", "status", "--porcelain", "--", "*.py", "*.lua"])
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit or None,
        "uncommitted_changes": bool(changes) if commit else None,
        "versions": versions(),
    }
