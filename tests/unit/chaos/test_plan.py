"""The same seed plans the same runs, and every kind of fault has its share."""

from __future__ import annotations

from collections import Counter

from tests.chaos.plan import KINDS, plan
from tests.chaos.run import share_out

TTL = 1.5


def test_the_same_seed_plans_the_same_runs() -> None:
    assert plan(7, 40, TTL) == plan(7, 40, TTL)
    assert plan(7, 40, TTL) != plan(8, 40, TTL)


def test_more_runs_of_a_seed_begin_with_the_same_ones() -> None:
    assert plan(7, 200, TTL)[:40] == plan(7, 40, TTL)


def test_every_kind_has_its_share() -> None:
    counts = Counter(run.kind for run in plan(7, 200, TTL))
    assert counts == dict.fromkeys(KINDS, 25)


def test_each_run_is_made_once_in_a_world_that_can_have_its_faults() -> None:
    runs = plan(7, 200, TTL)
    plain, with_sentinels = share_out(runs, 2)
    assert sorted([*plain, *with_sentinels], key=lambda run: run.number) == runs
    assert not any(run.needs_sentinels for run in plain)
    assert not any(run.needs_one_server for run in with_sentinels)


def test_a_node_that_must_be_waited_for_is_back_in_time() -> None:
    late = [run for run in plan(7, 400, TTL) if run.kind == "Redis restarted empty" and run.faults[-1].cause == "stall"]
    assert late
    for run in late:
        restart, stall = run.faults
        assert not stall.ends_leases
        assert restart.seconds < stall.seconds < restart.seconds + TTL
