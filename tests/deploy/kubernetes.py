"""The chart: rendered by helm, and its pods as podman can play them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.gateway import ROOT

CHART = ROOT / "deploy" / "helm" / "sse-gateway"
VALUES = ROOT / "tests" / "deploy" / "values"
GOLDEN = ROOT / "tests" / "deploy" / "golden"
HELM = shutil.which("helm")
VALIDATE = shutil.which("kubernetes-validate")
OLDEST, NEWEST = "1.25", "1.37"


def render(values: Path | None, *arguments: str, version: str = NEWEST) -> str:
    """What ``helm template`` makes of the chart with *values*.

    Raises:
        subprocess.CalledProcessError: it refused; its output says why.
    """
    command = [str(HELM), "template", "push", str(CHART), "--namespace", "push", "--kube-version", f"{version}.0"]
    command += ["--values", str(values)] if values else []
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout


def without_chance(manifests: str) -> str:
    """The same, with the generated key left out."""
    return re.sub(r"(\n  api-keys: )\S+", r"\1GENERATED", manifests)
