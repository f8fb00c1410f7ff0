"""A node's own books: what it holds, and so which topics it must hear."""

import pytest

from topics.placement.base import ConnectionRecord
from topics.placement.redis.holdings import Holdings


def record(name: str) -> ConnectionRecord:
    return ConnectionRecord(
        *(name, (), "sse", "node", "", "", 0.0),
        sent=0,
        pending=0,
        pending_bytes=0,
        behind_since=None,
    )


def test_a_topic_is_needed_while_a_connection_holds_it_or_a_tail_watches_it() -> None:
    holdings = Holdings()
    first, second = holdings.begin(record("1")), holdings.begin(record("2"))
    holdings.give(first, ["a", "b"])
    holdings.give(second, ["a"])
    holdings.watch("a")
    holdings.watch("a")
    assert dict(holdings.counts) == {"a": 2, "b": 1}
    assert holdings.take(first, ["a", "a", "other", "b"]) == ["a", "b"]
    assert [holdings.need(topic) for topic in "ab"] == [True, False]
    assert holdings.take(second, ["a"]) == ["a"]
    assert not holdings.counts
    holdings.unwatch("a")
    assert holdings.need("a")
    holdings.unwatch("a")
    assert not holdings.need("a")


def test_a_connection_is_held_until_its_end() -> None:
    holdings = Holdings()
    held = holdings.begin(record("1"))
    assert holdings.get("1") is held
    assert list(holdings) == [held]
    holdings.end("1")
    holdings.end("1")
    assert holdings.get("1") is None


def test_connections_are_numbered_in_their_order_though_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    holdings = Holdings()
    times = iter([5_000_000, 3_000_000, 9_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    assert [holdings.begin(record(str(number))).number for number in range(3)] == [5000, 5001, 9000]
