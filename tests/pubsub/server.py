"""Google's in-memory Pub/Sub server (`pstest`) as a child process, built from the Go beside this file."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.server_process import ServerProcess

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


class PubSubServer(ServerProcess):
    """One ``pstest``; what it holds ends with it. Started again, it has its port, and nothing else."""

    address = ""

    def launch(self) -> subprocess.Popen[bytes]:
        port = self.address.rpartition(":")[2] or "0"
        return subprocess.Popen([build(), "-port", port], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answers(self) -> bool:
        assert self._child.stdout is not None
        self.address = self._child.stdout.readline().decode().strip()
        return self.address != ""
