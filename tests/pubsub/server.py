"""Google's in-memory Pub/Sub server (`pstest`) as a child process, built from the Go beside this file."""

from __future__ import annotations

import shutil
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
    """One ``pstest``; what it holds ends with it."""

    def __init__(self) -> None:
        self.address = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        program = build()
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
