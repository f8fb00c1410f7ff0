"""What the tests of deployments share."""

from __future__ import annotations

import os
import subprocess

import pytest

needs_containers = pytest.mark.skipif(
    "DEPLOY_CONTAINERS" not in os.environ,
    reason="not run: needs containers; `make deploy-test` as root with podman and buildah",
)


def podman(*arguments: str, check: bool = True, timeout: float = 60) -> str:
    """Run podman, and return what it wrote; the sandbox of sandbox.py is around this process already."""
    ended = subprocess.run(
        ["podman", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert not check or ended.returncode == 0, ended.stderr
    return ended.stdout
