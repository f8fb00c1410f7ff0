"""The scripts for Google Cloud: checked, and run dry against a stand-in of gcloud that knows its flags. No account."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import which
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


@needs_openssl
@pytest.mark.parametrize("name", NAMES)
def test_a_topic_of_pub_sub_is_taken_by_one_subscription_for_all_instances(name: str, tmp_path: Path) -> None:
    ended, calls = dry(name, tmp_path, PROJECT="my-project", PUBSUB_TOPIC="orders", SETTINGS="GATEWAY_MAX_TOPICS=5")
    assert ended.returncode == 0, ended.stderr
    made = [call["arguments"] for call in calls if call["command"] == "pubsub subscriptions create"]
    assert len(made) == 1
    assert {"sse-gateway-events", "--topic=orders", "--enable-message-ordering"} <= set(made[0])
    built = next(call["arguments"] for call in calls if call["command"] == "builds submit")
    image = "europe-west1-docker.pkg.dev/my-project/sse-gateway/gateway:0.1.0-sources"
    assert f"--substitutions=_IMAGE={image},_SOURCES=yes" in built
    given = " ".join(word for call in calls for word in call["arguments"])
    if name == "deploy-gce-mig.sh":
        given = (tmp_path / "cloud-init.yaml").read_text(encoding="utf-8")
    for setting in ("GATEWAY_SOURCES=gcp-pubsub", "PUBSUB_SUBSCRIPTION=sse-gateway-events", "GATEWAY_MAX_TOPICS=5"):
        assert setting in given


@needs_openssl
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_flag_fails_the_dry_run_of_each_command(name: str, tmp_path: Path) -> None:
    """The stand-in can fail: each flag of each call is misspelt in turn, and each command, too."""
    calls = []
    for number, exists in enumerate(("yes", "no")):
        folder = tmp_path / str(number)
        folder.mkdir()
        calls += dry(name, folder, PROJECT="my-project", PUBSUB_TOPIC="orders", GCLOUD_EXISTS=exists)[1]
    assert len(calls) > 20
    wrong: dict[tuple[str, str], list[str]] = {}
    for call in calls:
        words = list(call["arguments"])
        for position, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag.startswith("--"):
                misspelt = [*words[:position], f"{flag}x{equals}{value}", *words[position + 1 :]]
                wrong[call["command"], flag] = misspelt
        wrong[call["command"], ""] = [word.replace(call["command"].split()[0], "nothing") for word in words]
    environment = {"GCLOUD_CALLS": str(tmp_path / "none")}
    for each, words in wrong.items():
        assert stand_in_refuses(words, environment), each
    assert not (tmp_path / "none").exists()


def stand_in_refuses(words: Sequence[str], environment: dict[str, str]) -> bool:
    """Whether the stand-in, called with *words*, ends as gcloud does for a wrong command line."""
    command = [sys.executable, "-S", "-E", str(STAND_IN), *words]
    ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return ended.returncode == 2


@pytest.fixture
def terraform(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs terraform in a copy of deploy/gcloud, in the folder that it is given first."""
    program = which("terraform")
    if program is None:
        pytest.skip("not run here: terraform is not installed")
    shutil.copytree(SCRIPTS, tmp_path / "gcloud", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))

    def run(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, f"-chdir={tmp_path / 'gcloud' / folder}", *arguments], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1"},
        )  # fmt: skip

    return run


def test_terraform_s_files_are_well_formed(terraform: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = terraform("terraform", "fmt", "-check", "-recursive", "-diff", "-no-color")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_openssl
def test_terraform_starts_an_instance_as_the_script_does(
    terraform: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "script"
    folder.mkdir()
    dry(
        "deploy-gce-mig.sh",
        folder,
        PROJECT="my-project",
        IMAGE="example.org/gateway:1",
        SETTINGS="GATEWAY_MAX_TOPICS=5",
    )
    module = "terraform/instance_start"
    assert terraform(module, "init").returncode == 0
    settings = {
        "GATEWAY_REDIS_URL": "redis://10.0.0.3:10.0.0.3/0",
        "GATEWAY_DRAIN_SECONDS": "60",
        "GATEWAY_TRUSTED_PROXIES": "130.211.0.0/22,35.191.0.0/16",
        "GATEWAY_MAX_TOPICS": "5",
    }
    given = {"image": "example.org/gateway:1", "project": "my-project", "secret": "sse-gateway-keys"}
    variables = [f"-var={name}={value}" for name, value in given.items()]
    ended = terraform(module, "apply", "-auto-approve", *variables, f"-var=settings={json.dumps(settings)}")
    assert ended.returncode == 0, ended.stderr
    ours = yaml.safe_load(terraform(module, "output", "-raw", "user_data").stdout)
    script = yaml.safe_load((folder / "cloud-init.yaml").read_text(encoding="utf-8"))
    for each in (ours, script):
        # A map has no order of its own.
        each["write_files"][0]["content"] = sorted(each["write_files"][0]["content"].split())
    # The script always names Google's registry, Terraform that of the image.
    start = script["write_files"][1]
    start["content"] = start["content"].replace("europe-west1-docker.pkg.dev", "example.org")
    assert ours == script


def test_terraform_validates(terraform: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = terraform("terraform", "init", "-backend=false", "-no-color")
    if ended.returncode:
        pytest.skip("not run here: terraform validate needs Google's provider, which cannot be downloaded")
    ended = terraform("terraform", "validate", "-no-color")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_openssl
def test_an_instance_s_start_script_is_a_script(tmp_path: Path) -> None:
    dry("deploy-gce-mig.sh", tmp_path, PROJECT="my-project")
    files = yaml.safe_load((tmp_path / "cloud-init.yaml").read_text(encoding="utf-8"))["write_files"]
    start = next(each["content"] for each in files if each["path"] == "/etc/gateway/start")
    subprocess.run(["bash", "-n"], input=start, text=True, check=True)
    if which("shellcheck") is None:
        pytest.skip("not run: shellcheck is not installed")
    ended = subprocess.run(["shellcheck", "-"], input=start, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
