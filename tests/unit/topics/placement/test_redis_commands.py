"""Commands are answered, whatever happens to the connection."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from topics.exceptions import PlacementUnavailable
from topics.placement.redis.commands import Commands


class Broken(Redis):
    """A client whose connections fail in a way that nobody thought of."""

    def pipeline(self, *arguments: object, **options: object) -> None:  # type: ignore[override]
        raise ZeroDivisionError


async def test_a_failure_of_any_kind_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[None] = []
    commands = Commands(Broken(), lambda: failures.append(None))
    for _ in range(2):
        with pytest.raises(PlacementUnavailable):
            await commands.run("count", [], [])
    assert len(failures) == 2
    assert "commands failed" in caplog.text
