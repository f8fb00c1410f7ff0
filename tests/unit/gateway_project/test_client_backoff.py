import random

import pytest

from gateway_project.client.backoff import FLOOR, Backoff


def longest(_low: float, high: float) -> float:
    return high


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(1, 5, uniform=longest)
    assert [backoff.delay() for _ in range(5)] == [1, 2, 4, 5, 5]


def test_success_starts_anew() -> None:
    backoff = Backoff(1, 60, uniform=longest)
    backoff.delay()
    backoff.delay()
    backoff.reset()
    assert backoff.delay() == 1


def test_jitter_takes_up_to_half() -> None:
    backoff = Backoff(8, 8, uniform=random.Random(7).uniform)
    delays = [backoff.delay() for _ in range(500)]
    assert 4 <= min(delays) < 4.1
    assert 7.9 < max(delays) <= 8


def test_what_the_other_side_asked_for_is_kept_also_above_the_cap() -> None:
    assert Backoff(1, 5, uniform=longest).delay(at_least=120) == 120


def test_a_short_request_does_not_shorten_the_wait_of_many_failures() -> None:
    backoff = Backoff(1, 60, uniform=longest)
    assert [backoff.delay(at_least=0) for _ in range(4)] == [1, 2, 4, 8]


def test_a_base_above_the_cap_stays() -> None:
    backoff = Backoff(120, 30, uniform=longest)
    assert [backoff.delay(), backoff.delay()] == [120, 120]


@pytest.mark.parametrize("base", [0, -1])
def test_nobody_spins(base: float) -> None:
    assert Backoff(base, 30, uniform=longest).delay() == FLOOR


def test_days_of_failures_overflow_nothing() -> None:
    backoff = Backoff(0.1, 30, uniform=longest)
    assert [backoff.delay() for _ in range(5000)][-1] == 30
