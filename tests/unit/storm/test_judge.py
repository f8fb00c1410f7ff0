"""The judge of a storm finds each way in which a promise can be broken."""

from __future__ import annotations

import pytest

from tests.storm.judge import Publication, Record, judge

PUBLISHED = [
    Publication("a-1", ("x",), accepted=True),
    Publication("a-2", ("x", "y"), accepted=True),
    Publication("b-1", ("y",), accepted=True),
    Publication("b-2", ("x",)),
]


def clients(*seen: tuple[str, str]) -> list[Record]:
    return [Record(f"client {topics}", frozenset(topics), ids.split()) for topics, ids in seen]


def whats(*seen: tuple[str, str]) -> list[str]:
    return [finding.what for finding in judge(PUBLISHED, clients(*seen))]


def test_all_is_well_when_all_is_seen_once_in_one_order() -> None:
    assert not whats(("x", "a-1 a-2"), ("y", "a-2 b-1"), ("xy", "a-1 a-2 b-1"), ("z", ""))


def test_what_was_not_answered_may_be_seen_by_all() -> None:
    assert not whats(("x", "a-1 a-2 b-2"), ("xy", "a-1 a-2 b-1 b-2"))


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        ([("x", "a-1")], "missing"),
        ([("x", "a-1 a-2 a-2")], "repeat"),
        ([("x", "a-1 a-2 b-1")], "stranger"),
        ([("x", "a-1 a-2 a-3")], "stranger"),
        ([("x", "a-2 a-1")], "order"),
        ([("y", "a-2 b-1"), ("xy", "a-1 b-1 a-2")], "order"),
        ([("x", "a-1 a-2 b-2"), ("xy", "a-1 a-2 b-1")], "split"),
    ],
)
def test_a_broken_promise_is_found(seen: list[tuple[str, str]], what: str) -> None:
    assert whats(*seen) == [what]


def test_three_clients_whose_orders_make_a_circle_are_found() -> None:
    published = [Publication(id, ("x", "y", "z"), accepted=True) for id in ("p-1", "q-1", "r-1")]
    seen = clients(("x", "p-1 q-1 r-1"), ("y", "q-1 r-1 p-1"), ("z", "r-1 p-1 q-1"))
    assert [finding.what for finding in judge(published, seen)] == ["order"]


def test_a_fault_of_a_client_is_a_finding() -> None:
    record = Record("client", frozenset("z"), faults=["told of gap"])
    assert [finding.detail for finding in judge(PUBLISHED, [record])] == ["client: told of gap"]
