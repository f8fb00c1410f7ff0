"""The scripts for Google Cloud: checked, and run dry against a stand-in of gcloud that knows its flags. No account."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import ROOT

SCRIPTS = ROOT / "deploy" / "gcloud"
NAMES = ("deploy-cloudrun.sh", "deploy-gce-mig.sh")
STAND_IN = Path(__file__).with_name("gcloud_stand_in.py")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="not run: openssl is not installed")


def dry(name: str, folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """Run a script against the stand-in; returns how it ended, and the calls."""
    program = folder / "gcloud"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    calls = folder / "calls"
    inherited = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "GCLOUD_CALLS": str(calls)}
    ended = subprocess.run(
        [str(SCRIPTS / name)], env=inherited | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    lines = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    return ended, [json.loads(line) for line in lines]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="not run: shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    files = [str(path) for path in sorted(SCRIPTS.glob("*.sh"))]
    ended = subprocess.run(["shellcheck", "-x", *files], capture_output=True, text=True, cwd=SCRIPTS, check=False)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", NAMES)
def test_without_a_project_it_says_what_to_set(name: str, tmp_path: Path) -> None:
    ended, calls = dry(name, tmp_path)
    assert ended.returncode != 0
    assert "Set PROJECT" in ended.stderr
    assert calls == []


@needs_openssl
@pytest.mark.parametrize("name", NAMES)
def test_the_first_run_makes_everything_in_the_project(name: str, tmp_path: Path) -> None:
    ended, calls = dry(name, tmp_path, PROJECT="my-project", SETTINGS="GATEWAY_CORS_ORIGINS=https://example.org")
    assert ended.returncode == 0, ended.stderr
    commands = [call["command"] for call in calls]
    assert all("--project=my-project" in call["arguments"] for call in calls)
    assert {"redis instances create", "secrets create", "builds submit", "iam service-accounts create"} <= set(commands)
    key = next(call for call in calls if call["command"] == "secrets create")
    assert key["input"] == 48
    assert "10.0.0.3" in ended.stdout


@needs_openssl
@pytest.mark.parametrize("name", NAMES)
def test_the_second_run_makes_nothing_twice(name: str, tmp_path: Path) -> None:
    ended, calls = dry(name, tmp_path, PROJECT="my-project", GCLOUD_EXISTS="yes")
    assert ended.returncode == 0, ended.stderr
    made = {call["command"] for call in calls if "create" in call["command"]}
    assert made <= {"compute instance-templates create"}


@needs_openssl
def test_cloud_run_gets_what_streams_need(tmp_path: Path) -> None:
    _, calls = dry("deploy-cloudrun.sh", tmp_path, PROJECT="my-project", SETTINGS="GATEWAY_LOG_LEVEL=debug")
    deploy = next(call["arguments"] for call in calls if call["command"] == "run deploy")
    assert {"--timeout=3600", "--no-cpu-throttling", "--concurrency=1000"} <= set(deploy)
    settings = next(word for word in deploy if word.startswith("--set-env-vars="))
    assert "GATEWAY_REDIS_URL=redis://10.0.0.3:10.0.0.3/0;" in settings
    assert settings.endswith(";GATEWAY_LOG_LEVEL=debug")
    assert "--set-secrets=GATEWAY_API_KEYS=sse-gateway-keys:latest" in deploy


@needs_openssl
def test_an_instance_s_start_file_is_filled_in(tmp_path: Path) -> None:
    dry("deploy-gce-mig.sh", tmp_path, PROJECT="my-project", SETTINGS="GATEWAY_LOG_LEVEL=debug;GATEWAY_MAX_TOPICS=5")
    text = (tmp_path / "cloud-init.yaml").read_text(encoding="utf-8")
    assert not re.search(r"@[A-Z]+@", text)
    assert "    content: |\n      GATEWAY_REDIS_URL=redis://" in text
    assert "\n      GATEWAY_MAX_TOPICS=5\n" in text
    assert text.startswith("#cloud-config\n")


def test_an_unknown_flag_fails_the_dry_run(tmp_path: Path) -> None:
    """The stand-in can fail."""
    environment = os.environ | {"GCLOUD_CALLS": str(tmp_path / "calls")}
    for words in (["run", "deploy", "x", "--max-instance=3"], ["run", "undeploy", "x"]):
        assert subprocess.run([sys.executable, STAND_IN, *words], env=environment, check=False).returncode == 2


def test_terraform_validates() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("not run: terraform is not installed")
    folder = SCRIPTS / "terraform"
    assert subprocess.run(["terraform", "fmt", "-check", str(folder)], capture_output=True, check=False).returncode == 0
    if not (folder / ".terraform").exists():
        pytest.skip("not run: terraform validate needs its Google provider (terraform init, with the network)")
    subprocess.run(["terraform", f"-chdir={folder}", "validate"], check=True)
