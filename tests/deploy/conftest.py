"""What the tests of deployments share; and what could not run here does not count as passed."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

NOT_RUN = 3
ELSEWHERE = "not run here: "
"""Begins the reason of a skip that no machine of ours can help; all others make the exit code 3."""

needs_containers = pytest.mark.skipif(
    "DEPLOY_CONTAINERS" not in os.environ,
    reason="not run: needs containers; `make deploy-test` as root with podman and buildah",
)
_not_run: list[str] = []


def pytest_configure() -> None:
    """Let a run that is told to end take its containers along: they would outlive it."""
    signal.signal(signal.SIGTERM, _end)


def _end(*_: object) -> None:
    # Once: whoever ends a whole group of processes tells it twice.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped."""
    if report.skipped and isinstance(report.longrepr, tuple) and ELSEWHERE not in report.longrepr[2]:
        _not_run.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Not run is not passed."""
    if exitstatus == pytest.ExitCode.OK and _not_run:
        print(f"\nWhat ran has passed, but {len(_not_run)} tests were not run, for the reasons below.")
        session.exitstatus = NOT_RUN


def podman(*arguments: str, check: bool = True, timeout: float = 60) -> str:
    """Run podman, and return what it wrote; the sandbox of sandbox.py is around this process already."""
    ended = subprocess.run(
        ["podman", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert not check or ended.returncode == 0, ended.stderr
    return ended.stdout
