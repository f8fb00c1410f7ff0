"""When a node takes it that all nodes have registered: by what Redis says of them, and whom it knew before."""

import pytest

from topics.placement.base import Node
from topics.placement.redis.census import RETURN_SECONDS, Census
from topics.placement.redis.peers import Peer

RUN = "r"


def peer(instance: str, run: str = RUN, generation: int = 1) -> Peer:
    node = Node(instance, "", 0, "")
    return Peer("s", 1, node, instance, run, generation, "c", ttl=10, draining=False, counters={}, rates={})


@pytest.fixture
def census() -> Census:
    """Of a node that knows itself and one other."""
    made = Census(ttl=10)
    made.end([peer("own"), peer("other")])
    return made


def test_a_node_that_has_just_started_knows_nobody_to_wait_for() -> None:
    census = Census(ttl=10)
    census.begin()
    assert census.is_first
    assert census.is_complete([peer("own")], RUN)
    census.end([peer("own")])
    assert not census.is_first


def test_who_was_there_is_waited_for(census: Census) -> None:
    census.begin()
    assert not census.is_complete([peer("own")], RUN)
    assert census.is_complete([peer("own"), peer("other"), peer("new")], RUN)


@pytest.mark.parametrize("other", [peer("other", run="former"), peer("other", generation=0)])
def test_what_a_former_master_kept_of_a_node_does_not_count(census: Census, other: Peer) -> None:
    census.begin()
    assert not census.is_complete([peer("own"), other], RUN)


def test_nobody_is_waited_for_longer_than_it_takes_to_die_and_to_find_back() -> None:
    census = Census(ttl=-RETURN_SECONDS - 1)  # its time is over at once
    census.end([peer("own"), peer("dead")])
    census.begin()
    assert census.is_complete([peer("own")], RUN)


def test_those_who_came_meanwhile_are_who_is_waited_for_next(census: Census) -> None:
    census.begin()
    census.end([peer("own"), peer("new")])
    census.begin()
    assert census.is_complete([peer("own"), peer("new")], RUN)
    assert not census.is_complete([peer("own"), peer("other")], RUN)
