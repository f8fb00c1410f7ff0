"""A run's summary says what failed, and counts nothing as passed that was not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import machine
from tests.reporting import kept, summary

JUNIT = """<testsuites><testsuite timestamp="2026-11-21T10:00:00.1+00:00" time="1.5">
<testcase classname="a" name="passes"/>
<testcase classname="a" name="fails"><failure message="assert 1 == 2&#10;more">text</failure></testcase>
<testcase classname="a" name="errs"><error message="no fixture"/></testcase>
<testcase classname="b" name="here"><skipped message="not run: no Redis" type="pytest.skip"/></testcase>
<testcase classname="b" name="there"><skipped message="not run: no Redis" type="pytest.skip"/></testcase>
<testcase classname="b" name="otherwise"><skipped message="the platform" type="pytest.xfail"/></testcase>
</testsuite></testsuites>"""
VITEST = (
    '<testsuites time="2.5"><testsuite name="x" time="9"><testcase classname="x" name="y"/></testsuite></testsuites>'
)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(summary, "RESULTS", tmp_path)
    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    monkeypatch.setattr(kept, "FILE", tmp_path / "runs.jsonl")
    return tmp_path


def run(results: Path, target: str, *xml: str) -> summary.Summary:
    (results / target).mkdir(exist_ok=True)
    for number, text in enumerate(xml):
        (results / target / f"{number}.xml").write_text(text, encoding="utf-8")
    return summary.write(target)


def test_each_test_is_counted_once_by_its_fate(results: Path) -> None:
    found = run(results, "some", JUNIT)
    assert (found["tests"], found["passed"], found["expected_failures"]) == (6, 1, 1)
    assert found["failed"] == [
        {"test": "a::fails", "why": "assert 1 == 2"},
        {"test": "a::errs", "why": "no fixture"},
    ]
    assert found["not_run"] == [{"tests": 2, "why": "not run: no Redis"}]
    assert found["seconds"] == 1.5
    assert found["versions"]["python"].startswith("3.")
    assert found["machine"]["cores"] >= 1
    assert json.loads((results / "some" / "summary.json").read_text("utf-8")) == found
    assert "2 failed; 2 not run (not run: no Redis)" in summary.told(found)


def test_files_that_ran_side_by_side_are_one_run(results: Path) -> None:
    found = run(results, "both", JUNIT, VITEST)
    assert (found["tests"], found["passed"]) == (7, 2)
    assert found["seconds"] == 2.5, "the whole run's time, and not that of its parts"


def test_no_result_is_no_summary(results: Path) -> None:
    with pytest.raises(SystemExit, match="no JUnit XML"):
        summary.write("nothing")


def test_of_a_target_and_commit_the_newest_run_is_kept(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "commit", lambda: "aaaaaaa")
    run(results, "some", JUNIT)
    kept.keep()
    again = run(results, "some", JUNIT.replace("T10:", "T11:"))
    kept.keep()
    assert kept.read() == [again]
    monkeypatch.setattr(machine, "commit", lambda: "bbbbbbb")
    later = run(results, "some", JUNIT.replace("T10:", "T12:"))
    kept.keep()
    assert kept.read() == [again, later]


def test_a_run_of_changed_code_is_not_kept(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "commit", lambda: "aaaaaaa-changed")
    run(results, "some", JUNIT)
    with pytest.raises(SystemExit, match="Not kept: some ran on uncommitted changes"):
        kept.keep()
    assert kept.read() == []
