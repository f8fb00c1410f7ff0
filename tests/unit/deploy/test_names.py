"""What the deployment files name exists in the code: metrics, settings, paths and versions. Plain text, no tools."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.urls import resolve

from publishing.sources import metrics as _of_sources  # noqa: F401  they register themselves
from topics.conf import GatewaySettings
from topics.metrics import REGISTRY

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "sse-gateway"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
# What Python itself reports, of that which the board and the alerts show.
PROCESS_METRICS = {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
}
# The clients' variables.
OTHER_NAMES = {"GATEWAY_URL", "GATEWAY_API_KEY"}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def metrics() -> set[str]:
    """All names of samples that the gateway can expose."""
    names: set[str] = set()
    for metric in REGISTRY.collect():
        names |= {metric.name, f"{metric.name}_total"} if metric.type == "counter" else {metric.name}
        if metric.type == "histogram":
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_is_named_exists(path: Path) -> None:
    known = {f"GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields} | OTHER_NAMES
    assert set(re.findall(r"\bGATEWAY_[A-Z_]*[A-Z]\b", text(path))) <= known


def board_expressions() -> list[str]:
    board = json.loads(text(DEPLOY / "grafana" / "gateway.json"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def alert_expressions() -> list[str]:
    return re.findall(r"^ +expr: (.+)$", text(DEPLOY / "compose" / "alerts.yml"), re.MULTILINE)


@pytest.mark.parametrize("expression", [*board_expressions(), *alert_expressions()])
def test_every_metric_of_the_board_and_the_alerts_exists(expression: str) -> None:
    named = set(re.findall(r"\b(?:gateway|process|python)_[a-z_]+\b", expression))
    assert named <= metrics() | PROCESS_METRICS
    assert named or expression.startswith("up{")


def test_the_board_shows_every_metric_of_the_gateway_but_the_tails() -> None:
    shown = set(re.findall(r"\bgateway_[a-z_]+?(?=_bucket\b|\b)", " ".join(board_expressions())))
    own = {
        f"{m.name}_total" if m.type == "counter" else m.name
        for m in REGISTRY.collect()
        if m.name.startswith("gateway_")
    }
    assert shown <= own
    assert own - shown == {"gateway_tails"}


def test_the_autoscaler_counts_a_metric_that_exists() -> None:
    name = re.search(r"metric: \{ name: (\w+) \}", text(CHART / "templates" / "autoscaler.yaml"))
    assert name is not None
    assert name[1] in metrics()


def test_a_node_without_clients_says_so_to_the_autoscaler() -> None:
    """In a process of its own: none of the others has connected anything there."""
    show = "from topics.metrics import CONNECTIONS; print(*CONNECTIONS.collect())"
    shown = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for transport in ("sse", "websocket"):
        assert f"labels={{'transport': '{transport}'}}, value=0.0" in shown


def test_the_chart_has_the_alerts_of_compose() -> None:
    assert text(CHART / "alerts.yml") == text(DEPLOY / "compose" / "alerts.yml")


def test_the_versions_are_the_project_s() -> None:
    version = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["version"]
    assert f"version: {version}\nappVersion: {version}\n" in text(CHART / "Chart.yaml")
    assert f"sse-gateway:{version}" in text(DEPLOY / "compose.yaml")
    assert f"ARG VERSION={version}" in text(DEPLOY / "Dockerfile")


def test_the_schema_knows_every_value() -> None:
    schema = json.loads(text(CHART / "values.schema.json"))
    top = set(re.findall(r"^([a-zA-Z]+):", text(CHART / "values.yaml"), re.MULTILINE))
    assert top | {"global"} == set(schema["properties"])


def test_the_probes_ask_paths_that_answer() -> None:
    from gateway_project.health import PROBES

    for path in (
        CHART / "templates" / "deployment.yaml",
        DEPLOY / "proxies" / "haproxy.cfg",
        DEPLOY / "proxies" / "Caddyfile",
    ):
        asked = set(re.findall(r"(?:path: |uri |health_uri )(/[a-z]+)\b", text(path))) - {"/etc"}
        assert asked
        assert asked <= set(PROBES)
    assert resolve("/metrics").url_name is not None or resolve("/metrics").route == "metrics"


def test_no_secret_is_in_a_file() -> None:
    for path in FILES:
        assert not re.search(r"(?i)(password|api_?keys?)\s*[:=]\s*[\"']?[a-z0-9]{16,}", text(path)), path
