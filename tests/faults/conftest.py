"""Gateways of the tests' own, under each server, which must be well when they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from tests.faults.subject import Subject, assert_clean_end, client_of
from tests.gateway import RunningGateway
from tests.redis_server import RedisServer

Start = Callable[..., Awaitable[Subject]]


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest) -> str:
    """Each server that the gateway runs under; a module's tests run under one, then under the other."""
    name: str = request.param
    return name


@pytest.fixture
async def start(server: str) -> AsyncIterator[Start]:
    """Start a gateway with settings (RunningGateway's arguments); at the end it must stop without a stain."""
    begun: list[RunningGateway] = []
    async with AsyncExitStack() as stack:

        async def begin(**settings: object) -> Subject:
            running = RunningGateway(server, **settings)  # type: ignore[arg-type]
            await asyncio.to_thread(running.start)
            begun.append(running)
            return await stack.enter_async_context(client_of(running))

        yield begin
    for running in begun:
        await asyncio.to_thread(running.stop)
    for running in begun:
        assert_clean_end(running)


@pytest.fixture
def redis_arguments() -> tuple[str, ...]:
    """What a module's Redis is told beside what each is told: by default nothing."""
    return ()


@pytest.fixture
def redis(redis_arguments: tuple[str, ...]) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with RedisServer(arguments=redis_arguments) as server:
        yield server


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    """A client of that Redis."""
    async with Redis.from_url(redis.url) as client:
        yield client
