"""Nothing missed and nothing twice, however often clients leave and come back (contract §6): `make storm`, in short."""

from __future__ import annotations

import pytest

from tests.storm.storm import Storm, rage
from tests.storm.worlds import WORLDS

SEED = 20_261
SHORT = {"memory-daphne", "redis-restarted", "database-restarted"}
"""Between them every store but PostgreSQL, both servers, one node and three, and what is restarted."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.slow) for name in WORLDS]
)
async def test_what_each_client_sees_is_what_was_published(name: str) -> None:
    world = WORLDS[name]()
    if world.missing:
        pytest.skip(f"not run: {world.missing}")
    async with world:
        result = await rage(world, Storm(SEED, subscribers=40, seconds=4, per_second=15))
    print(result.figures)
    assert not result.findings, "\n".join(f"{finding.what}: {finding.detail}" for finding in result.findings[:20])
    assert not world.amiss, world.amiss
    # Else it has tried nothing.
    assert result.figures["published"] > 50
    assert result.figures["connections"] > 80
    assert result.figures["caught_up"] > 50
