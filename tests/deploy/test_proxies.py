"""The configurations of deploy/proxies, really run: the whole contract through each, on three nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from tests.deploy.proxies import FILES, Proxy, installed
from tests.gateway import RunningGateway
from tests.redis_server import RedisServer, needs_redis
from tests.run_conformance import HISTORY, run_suite

PROXY_ANSWERS = [
    "--ignore=tests/conformance/test_hostile_input.py",
    "--ignore=tests/conformance/test_publish_unread_body.py",
]
"""What is no HTTP, and 100 Continue, never reach the gateway: the proxy answers in its own words."""

EVERYWHERE = (
    # The proxy cuts them off itself, after a time of its own.
    "test_headers_that_come_a_byte_a_second_are_cut_off",
    # Each request may reach another node, whose metrics are its own.
    "test_metrics_move_with_what_happens",
)
NGINX = (
    # It takes a bare LF for the end of a header, and answers Expect: 100-continue itself.
    "test_control_characters_in_a_header_are_refused",
    "test_a_request_declared_far_too_large_is_refused_at_once",
)
DESELECTED = {
    "nginx": (*EVERYWHERE, *NGINX),
    "haproxy": EVERYWHERE,
    # It sends its answer only after the body.
    "caddy": (
        *EVERYWHERE,
        "test_headers_are_decided_before_size_and_size_before_placement",
        "test_a_chunked_body_over_the_limit_is_refused_before_it_ends",
        "test_a_request_declared_far_too_large_is_refused_at_once",
    ),
}


def without(names: Sequence[str]) -> list[str]:
    """The arguments with which pytest leaves tests out, and what proxies answer in their own words."""
    return [*PROXY_ANSWERS, "-k", f"not ({' or '.join(names)})"]


@contextlib.contextmanager
def three_gateways() -> Iterator[list[RunningGateway]]:
    """Three nodes on a Redis of their own, with one key."""
    with RedisServer() as redis, contextlib.ExitStack() as stack:
        key = "a-key-for-this-test"
        nodes: list[RunningGateway] = []
        for _ in range(3):
            node = RunningGateway(
                redis_url=redis.url, node_ttl_seconds=5, api_keys=key, trusted_proxies="127.0.0.1", history=HISTORY
            )
            node.key = key
            nodes.append(stack.enter_context(node))
        yield nodes


@needs_redis
@pytest.mark.parametrize("proxy", FILES)
@pytest.mark.timeout(400)
def test_the_contract_holds_through_the_proxy(proxy: str) -> None:
    if not installed(proxy):
        pytest.skip(f"not run: {proxy} is not installed")
    with three_gateways() as nodes, Proxy(proxy, [urlsplit(node.url).port or 0 for node in nodes]) as front:
        front.wait_until_ready()
        assert (
            run_suite(
                f"behind-{proxy}",
                front.url,
                nodes[0].key,
                without(DESELECTED[proxy]),
            )
            == 0
        )
        for node in nodes:
            assert node.running
            assert node.errors == []
