"""Commands are answered, whatever happens to the connection, and however late this process comes to read the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection

from tests.redis_server import RedisServer, needs_redis
from topics.exceptions import PlacementUnavailable
from topics.placement.redis.address import parse_address
from topics.placement.redis.commands import Commands
from topics.placement.redis.patience import SOCKET_SECONDS, Patience


class Broken(ConnectionPool):
    """Connections fail in a way that nobody thought of."""

    async def get_connection(self, *arguments: object, **options: object) -> None:  # type: ignore[override]
        raise ZeroDivisionError


async def test_a_failure_of_any_kind_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[None] = []
    commands = Commands(Redis(connection_pool=Broken()), lambda: failures.append(None))
    for _ in range(2):
        with pytest.raises(PlacementUnavailable):
            await commands.run("count", [], [])
    assert len(failures) == 2
    assert "commands failed" in caplog.text


class Place:
    """A Redis, the way to it, and what was found out about it."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.connected = self.failures = 0
        self.client = parse_address(server.url).client(self._on_connect)
        self.commands = Commands(self.client, self._on_failure)

    async def _on_connect(self, connection: Connection) -> None:
        await connection.on_connect()
        self.connected += 1

    def _on_failure(self) -> None:
        self.failures += 1


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """One that has been reached."""
    with RedisServer() as server:
        made = Place(server)
        await made.commands.ping()
        yield made
        await made.commands.close()
        await made.client.aclose(close_connection_pool=True)


async def asked(place: Place) -> bytes:
    """What a script says where nothing has been settled: any answer will do."""
    answer: bytes = await place.commands.run("answered", ["settled"], ["era"])
    return answer


@needs_redis
async def test_all_goes_out_on_one_connection(place: Place) -> None:
    answers = await asyncio.gather(*[asked(place) for _ in range(600)])
    assert answers == [b"unsettled"] * 600
    assert (place.connected, place.failures) == (1, 0)


@needs_redis
async def test_an_answer_that_came_while_this_process_stood_still_counts(place: Place) -> None:
    await asked(place)
    waiting = asyncio.gather(*[asked(place) for _ in range(2)])
    # The command is out, and its answer comes while nobody reads.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(2 * SOCKET_SECONDS)  # noqa: ASYNC251 - this is the stall
    assert await waiting == [b"unsettled"] * 2
    assert (place.connected, place.failures) == (1, 0)


@needs_redis
async def test_a_redis_that_does_not_answer_is_given_up_soon(place: Place) -> None:
    place.server.freeze()
    begun = time.monotonic()
    with pytest.raises(PlacementUnavailable):
        await asked(place)
    assert SOCKET_SECONDS * 0.9 < time.monotonic() - begun < SOCKET_SECONDS * 4
    assert place.failures == 1
    place.server.thaw()
    # What it says late is nobody's answer.
    assert await asked(place) == b"unsettled"
    assert (place.connected, place.failures) == (2, 1)


@needs_redis
async def test_a_connection_that_ended_while_idle_is_made_again(place: Place) -> None:
    await asked(place)
    other = parse_address(place.server.url).client(Connection.on_connect)
    await other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
    await other.aclose(close_connection_pool=True)
    assert await asked(place) == b"unsettled"
    assert (place.connected, place.failures) == (2, 0)


@needs_redis
async def test_on_demand_the_next_commands_go_out_on_a_new_connection(place: Place) -> None:
    place.commands.reconnect()
    assert await asked(place) == b"unsettled"
    assert (place.connected, place.failures) == (2, 0)


@needs_redis
async def test_scripts_that_redis_has_forgotten_are_loaded_again_in_order(place: Place) -> None:
    await asked(place)
    await place.client.script_flush()
    assert await asyncio.gather(*[asked(place) for _ in range(3)]) == [b"unsettled"] * 3
    assert place.failures == 0


@pytest.mark.parametrize("lasting", [False, True])
async def test_patience_ends_each_wait_in_its_time(lasting: bool) -> None:
    patience = Patience(0.2, lasting=lasting)
    for _ in range(3):
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with patience:
                await asyncio.sleep(60)
        assert time.monotonic() - begun >= 0.19
        async with patience:
            await asyncio.sleep(0)
