"""What a target is allowed to do otherwise than the suite says, each with its reason.

Every one is in docs/reference/cloudflare.md. A listed test that passes fails the run: the list stays true.
"""

from __future__ import annotations

from collections.abc import Mapping

WORKER: Mapping[str, str] = {}

TARGETS: Mapping[str, Mapping[str, str]] = {"worker": WORKER}
"""Target to test (``file::function``, or with its parameter in brackets) to reason."""


def reason_for(target: str | None, node_id: str) -> str | None:
    """Why *target* may fail the test, or None when it may not."""
    listed = TARGETS[target] if target else {}
    name = node_id.rpartition("/")[2]
    return listed.get(name, listed.get(name.partition("[")[0]))
