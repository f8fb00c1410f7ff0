"""A copy of the project without anybody's `.env`, to run `manage.py` in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

Ended = subprocess.CompletedProcess[str]

ROOT = Path(__file__).resolve().parents[3]


def copy_project(to: Path) -> Path:
    """Copy what `manage.py` needs."""
    for package in ("gateway_project", "dashboard", "publishing", "topics"):
        shutil.copytree(ROOT / package, to / package)
    shutil.copy(ROOT / "manage.py", to)
    return to


def run_python(project: Path, *arguments: str, **variables: str) -> Ended:
    """Run Python in a project, with no other `GATEWAY_*` variables than these."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GATEWAY_", "SSE_GATEWAY_", "DJANGO_"))
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
