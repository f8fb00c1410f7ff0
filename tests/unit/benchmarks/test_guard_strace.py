"""Where strace is missing or may not trace, the guard says so instead of failing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.guard.counters import SYSTEM_CALLS, Strace, why_no_strace


def test_a_machine_without_strace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_no_strace() == "strace is not installed"


def test_a_machine_that_does_not_let_it_attach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "strace"
    refusing.write_text(
        "#!/bin/sh\necho 'strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted' >&2\nexit 1\n"
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    reason = why_no_strace()
    assert reason is not None
    assert reason.endswith("Operation not permitted)")


@pytest.mark.skipif(why_no_strace() is not None, reason=f"not run: {why_no_strace()}")
def test_it_counts_the_calls_of_a_process(tmp_path: Path) -> None:
    assert shutil.which("strace")
    program = "import os\nprint('ready', flush=True)\ninput()\nfor _ in range(500): os.getppid()\n"
    program += "print('done', flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with Strace(process.pid, tmp_path).counting() as counts:
            process.stdin.write(b"go\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"done\n"
        process.stdin.write(b"end\n")
        process.stdin.flush()
    assert 500 <= counts[SYSTEM_CALLS] < 520
