"""Fixtures for tests of what Django and the probes answer: a real runtime, and clients that call them.

The front that stands before Django is left out: what is no probe's answer is Django's own.
"""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, cast

import httpx
import pytest
from pytest_django import Settings

from gateway_project.handler import Handler
from gateway_project.health import PROBES
from topics.asgi import Application, Receive, Scope, Send
from topics.conf import GatewaySettings
from topics.connection import Connection
from topics.encoding import Format
from topics.placement.base import Transport
from topics.process import listens_on, running, shut_down
from topics.runtime import Runtime
from topics.writer import Framing, SendWriter

KEY = "test-key"

__all__ = ["KEY", "Attach", "anonymous", "api", "attach", "gateway_settings", "runtime"]


_handler = cast(Application, Handler())


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await PROBES.get(scope["path"], _handler)(scope, receive, send)


class Attach(Protocol):
    """Opens connections whose clients take everything at once."""

    def __call__(self, *topics: str, transport: Transport = "sse") -> Awaitable[Connection]:
        """Return a connection, open and visible."""


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    """The runtime's settings beside the key; a module with other needs has its own fixture of this name."""
    return {}


@pytest.fixture
async def runtime(settings: Settings, gateway_settings: dict[str, Any]) -> AsyncIterator[Runtime]:
    values = {"api_keys": (KEY,), "node_name": "node-1", "node_host": "host-1", "drain_seconds": 0}
    settings.GATEWAY = GatewaySettings.model_validate(values | gateway_settings)
    listens_on(8080)
    started = await running()
    yield started
    for connection in list(started.hub.connections.values()):
        await started.detach(connection)
    await shut_down()


@pytest.fixture
def attach(runtime: Runtime) -> Attach:
    async def take(_: Any) -> None:
        pass

    async def attach_connection(*topics: str, transport: Transport = "sse") -> Connection:
        sse = transport == "sse"
        connection = Connection(
            SendWriter(take, Framing.IDENTITY if sse else Framing.MESSAGE),
            Format.SSE if sse else Format.WEBSOCKET_JSON,
            topics=topics,
            limits=runtime.limits,
            client="192.0.2.1",
            user_agent="a test",
            on_gap=runtime.hub.count_gap,
            on_slow=runtime.slow_reader_closed,
        )
        await runtime.attach(connection)
        connection.open(b"{}")
        return connection

    return attach_connection


@pytest.fixture
async def anonymous(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    transport = httpx.ASGITransport(app=cast(Any, _answer))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.fixture
async def api(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key."""
    transport = httpx.ASGITransport(app=cast(Any, _answer))
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
        yield client
