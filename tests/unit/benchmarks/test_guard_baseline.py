"""The guard's verdict: which counts fail, and with what sentence."""

import json
from pathlib import Path

import pytest

from benchmarks.guard import baseline
from benchmarks.guard.counters import BYTES, INSTRUCTIONS, SYSTEM_CALLS

BEFORE: baseline.Found = {"daphne": {"one publish": {SYSTEM_CALLS: 10.0, INSTRUCTIONS: 1000.0}}}
ALL = {SYSTEM_CALLS, INSTRUCTIONS, BYTES}


def counted(calls: float, instructions: float = 1000.0) -> baseline.Found:
    return {"daphne": {"one publish": {SYSTEM_CALLS: calls, INSTRUCTIONS: instructions}}}


def test_what_is_within_ten_percent_passes() -> None:
    assert baseline.compare(BEFORE, counted(11.0, 950.0), ALL) == ([], [])


def test_what_costs_more_is_named_with_both_figures() -> None:
    worse, better = baseline.compare(BEFORE, counted(12.0), ALL)
    assert worse == ["daphne: one publish: 12 system calls found, baseline 10: 20% more; 10% are allowed."]
    assert better == []


def test_what_costs_less_is_told_and_does_not_fail() -> None:
    worse, better = baseline.compare(BEFORE, counted(10.0, 500.0), ALL)
    assert worse == []
    assert better == ["daphne: one publish: 500 Python instructions found, baseline 1000: 50% less."]


def test_a_row_that_the_baseline_does_not_have_fails() -> None:
    worse, _ = baseline.compare(BEFORE, {"daphne": {"something new": {SYSTEM_CALLS: 1.0}}}, ALL)
    assert worse == ["daphne: something new: 1 system calls found; the baseline does not have this row."]


def test_of_two_counts_the_lower_one_of_each_measure_counts() -> None:
    assert baseline.lower(counted(12.0, 900.0), counted(10.0, 1000.0)) == counted(10.0, 900.0)


def test_measures_that_do_not_hold_here_are_left_out() -> None:
    assert baseline.compare(BEFORE, counted(20.0, 5000.0), set()) == ([], [])


def test_an_update_without_strace_keeps_the_system_calls(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    baseline.save(BEFORE, file)
    baseline.save({"daphne": {"one publish": {INSTRUCTIONS: 900.0}}}, file)
    assert baseline.load(file)[1] == counted(10.0, 900.0)
    assert json.loads(file.read_text())["python"] == baseline.python_version()


def test_the_committed_baseline_has_every_measure_of_both_servers() -> None:
    _, counts = baseline.load()
    assert set(counts) == {"daphne", "uvicorn"}
    for phases in counts.values():
        assert len(phases) == 7
        assert all({SYSTEM_CALLS, INSTRUCTIONS} <= set(measures) for measures in phases.values())


def test_without_a_baseline_it_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--update"):
        baseline.load(tmp_path / "none.json")
