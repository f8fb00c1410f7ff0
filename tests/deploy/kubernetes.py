"""The chart: rendered by helm, and its pods as podman can play them."""

from __future__ import annotations

import base64
import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.gateway import ROOT

CHART = ROOT / "deploy" / "helm" / "sse-gateway"
VALUES = ROOT / "tests" / "deploy" / "values"
GOLDEN = ROOT / "tests" / "deploy" / "golden"
HELM = shutil.which("helm")
VALIDATE = shutil.which("kubernetes-validate", path=str(Path(sys.executable).parent))
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


def for_podman(manifests: str, image: str) -> str:
    """The rendered manifests as ``podman kube play`` takes them, without what podman 4 does not know.

    A Deployment becomes a pod for each replica and a StatefulSet one pod with its Service's name, which is how podman's
    name server finds it; Services and the rest, which need a cluster, are left out.
    """
    documents: list[dict[str, Any]] = []
    given = [document for document in yaml.safe_load_all(manifests) if document]
    secrets = {each["metadata"]["name"]: each["data"] for each in given if each["kind"] == "Secret"}
    for document in given:
        kind, name = document["kind"], document["metadata"]["name"]
        if kind == "ConfigMap":
            documents.append(document)
        elif kind == "Deployment":
            replicas = range(document["spec"]["replicas"])
            documents += [_pod(f"{name}-{number}", document, image, secrets) for number in replicas]
        elif kind == "StatefulSet":
            documents.append(_pod(name, document, None, secrets))
    return yaml.safe_dump_all(documents, sort_keys=False)


def _pod(name: str, owner: dict[str, Any], image: str | None, secrets: dict[str, dict[str, str]]) -> dict[str, Any]:
    template = copy.deepcopy(owner["spec"]["template"])
    spec = template["spec"]
    for unknown in ("affinity", "serviceAccountName"):
        spec.pop(unknown, None)
    for container in spec["containers"]:
        if image is not None:
            container["image"] = image
        # Published on the host otherwise, where one port is there once.
        container.pop("ports", None)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
            container.pop(probe, None)
        # No control groups here.
        container.pop("resources", None)
        for variable in container.get("env", []):
            _resolve(variable, name, secrets)
    metadata = {"name": name, "labels": template["metadata"].get("labels", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _resolve(variable: dict[str, Any], pod: str, secrets: dict[str, dict[str, str]]) -> None:
    source = variable.pop("valueFrom", None)
    if source is None:
        return
    if "secretKeyRef" in source:
        # podman 4 cannot read the Secrets that it makes of manifests.
        wanted = source["secretKeyRef"]
        variable["value"] = base64.b64decode(secrets[wanted["name"]][wanted["key"]]).decode()
    else:
        # metadata.name, and status.podIP, which podman 4 does not know: the name is an address here, too.
        variable["value"] = pod
