"""A run that may take so many minutes leaves out what can be left out."""

from __future__ import annotations

from typing import Any

from benchmarks.budget import Budget

NAMES = ["floor", "nchan", "gateway-daphne", "gateway-uvicorn", "mercure", "channels"]
ALWAYS = NAMES[:4]


def one_round(always: float, others: float) -> dict[str, Any]:
    return {name: {"whole_run_seconds": always if name in ALWAYS else others} for name in NAMES}


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_without_a_limit_everybody_runs() -> None:
    assert Budget(None, {"row": [one_round(100, 1e9)]}, 5).runners("row", NAMES) == NAMES


def test_everybody_runs_in_the_first_round() -> None:
    assert Budget(0.0, {"row": []}, 5).runners("row", NAMES) == NAMES


def test_the_others_run_while_what_must_run_still_fits_behind_them() -> None:
    # 4 rounds of 4 x 10 s must run; the two others take 2 x 30 s: 220 s.
    rows = {"row": [one_round(10, 30)]}
    assert Budget(221 / 60, rows, 5, Clock()).runners("row", NAMES) == NAMES
    assert Budget(219 / 60, rows, 5, Clock()).runners("row", NAMES) == ALWAYS


def test_time_that_has_passed_counts() -> None:
    clock = Clock()
    budget = Budget(221 / 60, {"row": [one_round(10, 30)]}, 5, clock)
    clock.seconds = 2.0
    assert budget.runners("row", NAMES) == ALWAYS
