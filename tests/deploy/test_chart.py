"""The Helm chart: linted, rendered with several values, validated strictly, compared with what it was."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.kubernetes import CHART, GOLDEN, HELM, NEWEST, OLDEST, VALIDATE, VALUES, render, without_chance

CASES = sorted(VALUES.glob("*.yaml"))
pytestmark = pytest.mark.skipif(
    HELM is None, reason="not run: helm is not installed (go install helm.sh/helm/v3/cmd/helm@v3.18.6)"
)
WRONG = {
    "replicaCount=three": "replicaCount",
    "replicas=3": "replicas",
    "redis.mode=none": "More than one replica needs Redis",
    "redis.mode=external": "redis.external.url or redis.external.existingSecret",
    "settings.GATEWAY_API_KEYS=secret": "the chart sets it",
    "settings.LOG_LEVEL=info": "LOG_LEVEL",
    "redis.external.url=http://redis": "url",
    "image.digest=latest": "digest",
}


def case(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("values", CASES, ids=case)
def test_lint_finds_nothing(values: Path) -> None:
    ended = subprocess.run(
        [str(HELM), "lint", "--strict", str(CHART), "--values", str(values)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "[WARNING]" not in ended.stdout


@pytest.mark.skipif(
    VALIDATE is None, reason="not run: kubernetes-validate is not installed (pip install kubernetes-validate)"
)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", CASES, ids=case)
def test_the_manifests_are_those_of_kubernetes(values: Path, version: str, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(render(values, version=version), encoding="utf-8")
    ended = subprocess.run(
        [str(VALIDATE), "--strict", "-k", version, str(file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("values", CASES, ids=case)
def test_the_manifests_are_what_they_were(values: Path) -> None:
    """After a change that is meant: UPDATE_GOLDEN=1."""
    rendered = without_chance(render(values))
    golden = GOLDEN / f"{values.stem}.yaml"
    if "UPDATE_GOLDEN" in os.environ:
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(("setting", "said"), WRONG.items())
def test_wrong_values_are_refused_with_a_word_on_what_is_wrong(setting: str, said: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(None, "--set", setting)
    assert said in refused.value.stderr


def test_the_grace_time_has_room_for_pre_stop_and_drain() -> None:
    text = render(
        None, "--set", "settings.GATEWAY_DRAIN_SECONDS=30,preStopSeconds=10", "-s", "templates/deployment.yaml"
    )
    assert "terminationGracePeriodSeconds: 45\n" in text


def test_no_secret_is_in_the_manifests_but_the_generated_key() -> None:
    text = render(VALUES / "everything.yaml")
    assert "kind: Secret" not in text
    assert text.count("secretKeyRef:") >= 3
