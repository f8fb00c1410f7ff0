"""Fixtures for tests that need a whole gateway (faults and e2e)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.gateway import STARTED, RunningGateway

StartGateway = Callable[..., RunningGateway]

# A shell that has no terminal starts its background jobs with SIGINT ignored, and so does all that they start:
# the Ctrl-C of a test would be heard by none of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LOG_LINES = 200


def pytest_runtest_setup() -> None:
    STARTED[:] = [gateway for gateway in STARTED if gateway.running]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the gateways wrote to the report of a test that failed: it may not fail again."""
    report = yield
    if report.failed:
        for gateway in STARTED:
            report.sections.append((f"log of the gateway at {gateway.url}", "\n".join(gateway.lines[-LOG_LINES:])))
    return report


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
