"""The chart's pods, as rendered, really started by podman: three gateways and Redis; the contract through them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import needs_containers, podman
from tests.deploy.images import GATEWAY
from tests.deploy.kubernetes import HELM, for_podman, render
from tests.deploy.proxies import Proxy, installed
from tests.deploy.test_proxies import EVERYWHERE, without
from tests.run_conformance import HISTORY, run_suite

pytestmark = [
    needs_containers,
    pytest.mark.skipif(HELM is None, reason="not run: helm is not installed"),
    pytest.mark.timeout(500),
]
NETWORK = "gateway-pods"
PODS = [f"push-sse-gateway-{number}" for number in range(3)]
CHECK = ["/usr/bin/python3.11", "-S", "-E", "/opt/gateway/healthcheck.py", "/ready"]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The generated key, with all pods ready."""
    # --set wants commas escaped, and would take a dot for a level.
    manifests = render(None, "--set-json", f'settings={{"GATEWAY_HISTORY": "{HISTORY}"}}')
    made = for_podman(manifests, GATEWAY)
    secret = next(each for each in yaml.safe_load_all(manifests) if each and each["kind"] == "Secret")
    assert secret["metadata"]["name"] == "push-sse-gateway-keys"
    file = tmp_path_factory.mktemp("pods") / "pods.yaml"
    file.write_text(made, encoding="utf-8")
    podman("kube", "down", str(file), check=False)
    podman("network", "rm", "-f", NETWORK, check=False)
    podman("network", "create", NETWORK)
    # Pods share a control group, which podman 4 insists on.
    settings = Path(os.environ["CONTAINERS_CONF"]).read_text(encoding="utf-8")
    enabled = file.with_name("containers.conf")
    enabled.write_text(settings.replace('cgroups = "disabled"', 'cgroups = "enabled"'), encoding="utf-8")
    usual = os.environ["CONTAINERS_CONF"]
    os.environ["CONTAINERS_CONF"] = str(enabled)
    try:
        podman("kube", "play", "--network", NETWORK, str(file), timeout=120)
        deadline = time.monotonic() + 60
        for pod in PODS:
            while "READY" not in podman("exec", f"{pod}-gateway", *CHECK, check=False):
                assert time.monotonic() < deadline, podman("logs", f"{pod}-gateway")
                time.sleep(0.5)
        environment = next(each for each in yaml.safe_load_all(made) if each["kind"] == "Pod")["spec"]["containers"][0][
            "env"
        ]
        yield next(each["value"] for each in environment if each["name"] == "GATEWAY_API_KEYS")
    finally:
        os.environ["CONTAINERS_CONF"] = usual
        podman("pod", "rm", "-f", "-a", "-t", "5", check=False, timeout=120)
        podman("network", "rm", "-f", NETWORK, check=False)


def address(pod: str) -> str:
    """The pod's address on the network."""
    infra = json.loads(podman("pod", "inspect", pod))["InfraContainerID"]
    return str(json.loads(podman("inspect", infra))[0]["NetworkSettings"]["Networks"][NETWORK]["IPAddress"])


def test_the_pods_are_locked_down(key: str) -> None:
    assert len(key) == 40
    for pod in PODS:
        found = json.loads(podman("inspect", f"{pod}-gateway"))[0]
        assert found["HostConfig"]["ReadonlyRootfs"]
        assert found["EffectiveCaps"] in ([], None)
        assert found["Config"]["User"].startswith("65532")


def test_the_helm_test_passes_from_pod_to_pod(key: str) -> None:
    command = ["/usr/bin/python3.11", "/opt/gateway/roundtrip.py"]
    for asked, pod in zip(PODS, PODS[1:] + PODS[:1], strict=True):
        url = f"GATEWAY_URL=http://{address(pod)}:8080"
        assert "received" in podman("exec", "-e", url, f"{asked}-gateway", *command)


def test_the_contract_holds_through_the_pods(key: str) -> None:
    if not installed("haproxy"):
        pytest.skip("not run: haproxy is not installed")
    # HAProxy stands in for the Service.
    with Proxy("haproxy", [8080] * 3, hosts=[address(pod) for pod in PODS]) as front:
        front.wait_until_ready()
        assert run_suite("pods", front.url, key, without(EVERYWHERE)) == 0
