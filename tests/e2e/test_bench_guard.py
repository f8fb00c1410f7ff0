"""The guard on real servers: it passes what costs as much as before, and fails what costs more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.guard.counters import why_no_strace
from benchmarks.guard.inside import ALSO

ROOT = Path(__file__).resolve().parents[2]


def guard(baseline: Path, *arguments: str, also: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.guard", "--server", "uvicorn", "--baseline", str(baseline)]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, ALSO: also},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(400)  # a quarter of a minute for each of three counts, where the machine has nothing else to do
def test_a_server_that_wastes_fails_the_guard(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    written = guard(baseline, "--update")
    assert written.returncode == 0, written.stderr
    same = guard(baseline)
    assert same.returncode == 0, same.stderr
    wasteful = guard(baseline, also="tests.e2e.wasteful_hub")
    assert wasteful.returncode == 1
    assert "uvicorn: one publish to one subscriber:" in wasteful.stderr
    assert "Python instructions found, baseline" in wasteful.stderr
    if why_no_strace() is None:
        assert "system calls found, baseline" in wasteful.stderr
