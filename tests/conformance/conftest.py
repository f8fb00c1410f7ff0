"""What the suite is run against: ``GATEWAY_URL`` and ``GATEWAY_API_KEY``, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.conformance.differences import race_in, reason_for
from tests.conformance.patience import Patience
from tests.conformance.subject import Gateway, unique


@dataclass(frozen=True)
class Address:
    url: str
    key: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what waits for timers last: its waiting has gone on meanwhile. What a target does otherwise must fail."""
    items.sort(key=lambda item: item.path.name == "test_patience.py")
    target = os.environ.get("CONFORMANCE_TARGET")
    for item in items:
        if (reason := reason_for(target, item.nodeid)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        elif (reason := race_in(target, item.nodeid)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=False))


@pytest.fixture(scope="session")
def address() -> Address:
    url, key = os.environ.get("GATEWAY_URL"), os.environ.get("GATEWAY_API_KEY")
    if not url or not key:
        pytest.exit(
            "The conformance suite checks a running gateway: set GATEWAY_URL (such as http://127.0.0.1:8080) and "
            "GATEWAY_API_KEY (one of its keys), or run `make conformance`.",
            returncode=2,
        )
    return Address(url, key)


@pytest.fixture(scope="session", autouse=True)
def patience(address: Address, request: pytest.FixtureRequest) -> Iterator[Patience]:
    """What takes many seconds of waiting, begun with the session so that nobody waits for it twice."""
    with Patience(address.url, address.key) as running:
        if any(item.path.name == "test_patience.py" for item in request.session.items):
            running.begin()
        yield running


@pytest.fixture
async def gateway(address: Address) -> AsyncIterator[Gateway]:
    async with httpx.AsyncClient(
        base_url=address.url,
        headers={"authorization": f"Bearer {address.key}"},
        trust_env=False,
        timeout=httpx.Timeout(10),
        limits=httpx.Limits(max_connections=200),
    ) as http:
        yield Gateway(address.url, address.key, http)


@pytest.fixture
def topic() -> str:
    return unique()


@pytest.fixture
def new_topic() -> Callable[[str], str]:
    return unique


@pytest.fixture
async def kept_topic(gateway: Gateway) -> str:
    """A topic that keeps history, where the gateway is told to keep that of these."""
    topic = unique("kept")
    answer = await gateway.http.get(f"/api/v1/topics/{topic}/events")
    if answer.status_code == 404:
        pytest.skip("not run: the gateway keeps no history of conformance/kept/* (GATEWAY_HISTORY)")
    return topic
