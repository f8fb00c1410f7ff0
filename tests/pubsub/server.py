"""Google's in-memory Pub/Sub server (`pstest`) as a child process, built from the Go beside this file."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pytest

FOLDER = Path(__file__).parent
GO = shutil.which("go")


def build() -> Path:
    """Build the server, or take the one that was built; without Go, or its modules, the test is skipped."""
    if GO is None:
        pytest.skip("not run: Go is not installed")
    program = Path(tempfile.gettempdir()) / "sse-gateway-tests" / "pstest"
    if not program.exists() or program.stat().st_mtime < (FOLDER / "main.go").stat().st_mtime:
        program.parent.mkdir(exist_ok=True)
        built = subprocess.run(
            [GO, "build", "-mod=readonly", "-o", program, "."],
            cwd=FOLDER,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if built.returncode:
            pytest.skip(f"not run: pstest could not be built: {built.stderr.strip()[-300:]}")
    return program


class PubSubServer:
    """One ``pstest``; what it holds ends with it. Started again, it has its port, and nothing else."""

    def __init__(self) -> None:
        self.address = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start it empty, and wait until it listens."""
        port = self.address.rpartition(":")[2] or "0"
        self._process = subprocess.Popen(
            [build(), "-port", port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address
        return self

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
