"""What counts while a phase runs: strace from outside, Python from inside."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

Counts = dict[str, float]
"""What was counted in one phase, by the name of the measure."""

SYSTEM_CALLS = "system calls"
INSTRUCTIONS = "Python instructions"
BYTES = "bytes of Python objects"

_WAIT_SECONDS = 30.0


class NotPossible(Exception):
    """The machine does not let this be counted; the message says why."""


class Counter(Protocol):
    """Counts what a process does while a block runs."""

    def counting(self) -> contextlib.AbstractContextManager[Counts]:
        """Count; the mapping is filled when the block ends."""


class Strace:
    """Counts system calls of a process and its threads.

    Args:
        pid: Of the process.
        folder: For strace's output.
    """

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._output = folder / "strace.txt"

    @contextlib.contextmanager
    def counting(self) -> Iterator[Counts]:
        """Attach, and count until the block ends."""
        counts: Counts = {}
        command = ["strace", "-f", "-c", "--summary-columns=calls,name", "-o", str(self._output), "-p", str(self._pid)]
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._wait_until_attached(tracer)
            yield counts
        finally:
            # On this signal strace lets go of the process and writes its summary.
            with contextlib.suppress(ProcessLookupError):
                tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(_WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait()
            if tracer.stderr is not None:
                tracer.stderr.close()
        if not self._output.exists():
            raise NotPossible("strace wrote nothing")
        rows = re.findall(r"^ *(\d+) (\w+)$", self._output.read_text(), re.MULTILINE)
        counts[SYSTEM_CALLS] = sum(int(calls) for calls, name in rows if name != "total")

    def _wait_until_attached(self, tracer: "subprocess.Popen[bytes]") -> None:
        threads = len(list(Path(f"/proc/{self._pid}/task").iterdir()))
        said = b""
        deadline = time.monotonic() + _WAIT_SECONDS
        if tracer.stderr is None:
            raise NotPossible("strace has no output")
        while said.count(b" attached") < min(threads, 1):
            line = tracer.stderr.readline()
            said += line
            if not line or time.monotonic() > deadline:
                raise NotPossible(said.decode(errors="replace").strip().rpartition("\n")[2] or "strace ended")


class Inside:
    """Counts instructions and memory through `benchmarks.guard.inside`.

    Args:
        pid: Of the process.
        reports: The file that it writes to.
    """

    def __init__(self, pid: int, reports: Path) -> None:
        self._pid = pid
        self._reports = reports

    @contextlib.contextmanager
    def counting(self) -> Iterator[Counts]:
        """Signal, and signal again when the block ends."""
        counts: Counts = {}
        before = self._signal()
        yield counts
        after = self._signal()
        counts[INSTRUCTIONS] = after["instructions"]
        counts[BYTES] = after["bytes"] - before["bytes"]

    def _signal(self) -> dict[str, Any]:
        known = len(self._lines())
        os.kill(self._pid, signal.SIGUSR1)
        deadline = time.monotonic() + _WAIT_SECONDS
        while len(lines := self._lines()) == known:
            if time.monotonic() > deadline:
                raise NotPossible("the server does not report")
            time.sleep(0.005)
        report: dict[str, Any] = json.loads(lines[-1])
        return report

    def _lines(self) -> list[str]:
        text = self._reports.read_text() if self._reports.exists() else ""
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def why_no_strace() -> str | None:
    """Return why system calls cannot be counted here, or None: another process of this user must be traceable."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process,
    ):
        try:
            with Strace(process.pid, Path(folder)).counting():
                pass
        except NotPossible as refusal:
            return f"strace may not trace here ({refusal})"
        finally:
            process.kill()
    return None
