"""Differences count only where the rounds of two runs lie apart."""

from __future__ import annotations

import pytest

from benchmarks import machine
from tests.reporting import compare
from tests.reporting.compare import BETTER, NOISE, UNKNOWN, WORSE, Difference
from tests.reporting.html import join, table, tag
from tests.reporting.measured import Measurement, kind, measurements, name, runs


def one(*values: float, floor: tuple[float, ...] = (), rate: bool = False, server: str = "ours") -> Measurement:
    return Measurement("a row", "a figure", server, values, rate, floor)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (one(4, 5, 6), one(1, 2, 3), BETTER),
        (one(4, 5, 6), one(7, 8, 9), WORSE),
        (one(4, 5, 6), one(6, 8, 9), NOISE),
        (one(4, 5, 6, rate=True), one(7, 8, 9, rate=True), BETTER),
        (one(4, 5, 6, rate=True), one(1, 2, 3, rate=True), WORSE),
        (one(5), one(7, 8, 9), UNKNOWN),
        (one(8), one(7, 8, 9), NOISE),
        # The machine was twice as slow, and so was the floor.
        (one(4, 5, floor=(2, 2)), one(8, 10, floor=(4, 4)), NOISE),
        (one(4, 5, floor=(2, 2)), one(4, 5, floor=(4, 4)), BETTER),
        # Where one of them has no floor, and of the floor itself, the figures are compared.
        (one(4, 5, floor=(2, 2)), one(8, 10), WORSE),
        (one(2, 2.5, floor=(2, 2.5), server="floor (C)"), one(4, 4.5, floor=(4, 4.5), server="floor (C)"), WORSE),
    ],
)
def test_verdicts(before: Measurement, after: Measurement, verdict: str) -> None:
    assert Difference(before, after).verdict == verdict


def test_the_change_is_that_of_what_is_compared() -> None:
    assert Difference(one(4, 4, 4), one(5, 5, 5)).change == 1.25
    assert Difference(one(4, 4, floor=(2, 2)), one(4, 4, floor=(4, 4))).change == 0.5


def test_every_committed_run_has_measurements() -> None:
    files = runs()
    assert {kind(file) for file in files} >= {"gateway", "peers", "scale", "nodes", "history"}
    for file in files:
        assert len(measurements(file)) >= 6, file


def test_a_run_does_not_differ_from_itself() -> None:
    for file in runs():
        found = compare.differences(file, file)
        assert {each.verdict for each in found} == {NOISE}
        assert {each.change for each in found} == {1.0}


def test_runs_are_found_by_parts_of_their_names_and_paths() -> None:
    file = runs()[-1]
    assert compare.find(name(file)) == [file]
    assert compare.find(str(file)) == [file]
    assert file in compare.find(f"{machine.RESULTS.name}/{file.parent.name}")
    with pytest.raises(SystemExit, match="There is no run nonsense"):
        compare.find("nonsense")


def test_what_is_printed_says_what_the_difference_is_worth() -> None:
    older, newer = [file for file in runs() if kind(file) in ("gateway", "peers")][-2:]
    text = compare.render(older, newer)
    assert text.startswith(f"{name(older)} → {name(newer)}")
    assert "to floor" in text
    assert text.splitlines()[-1].endswith("noise unknown")


def test_what_is_shown_is_escaped() -> None:
    assert tag("p", "a < b", kind="x") == '<p class="x">a &lt; b</p>'
    assert join([tag("b", "1"), "&"]) == "<b>1</b>&amp;"
    assert "<td>&lt;script&gt;</td>" in table(["head"], [["<script>"]])
