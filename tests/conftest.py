"""Fixtures for tests that need a whole gateway (faults and e2e)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.gateway import RunningGateway

StartGateway = Callable[..., RunningGateway]


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest) -> str:
    """Each server that the gateway runs under, one after the other."""
    name: str = request.param
    return name


@pytest.fixture
def start_gateway() -> Iterator[StartGateway]:
    """Start gateways, with RunningGateway's arguments; they end with the test."""
    with ExitStack() as stack:

        def start(*arguments: object, **settings: object) -> RunningGateway:
            return stack.enter_context(RunningGateway(*arguments, **settings))  # type: ignore[arg-type]

        yield start
