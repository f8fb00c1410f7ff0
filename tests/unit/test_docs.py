"""The reference says everything that there is, and the documents' links lead somewhere."""

import inspect
import re
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from pydantic.fields import FieldInfo

from tests.conformance.differences import WORKER, WORKER_RACES
from topics.conf import GatewaySettings
from topics.metrics import REGISTRY
from topics.placement.base import Placement
from topics.placement.redis.keys import Keys
from topics.problems import SLUGS
from topics.wire import websocket

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "field"), GatewaySettings.model_fields.items())
def test_every_setting_is_in_the_reference_with_its_meaning_and_default(name: str, field: FieldInfo) -> None:
    row = next((line for line in read("settings.md").splitlines() if f"`GATEWAY_{name.upper()}`" in line), "")
    assert row.endswith(f"| {field.description} |")
    if isinstance(field.default, bool):
        assert f"| `{str(field.default).lower()}` |" in row
    elif isinstance(field.default, int | float | str):
        assert f"| `{field.default}` |" in row


@pytest.mark.parametrize("name", GatewaySettings.model_fields)
def test_every_setting_is_in_the_example_environment(name: str) -> None:
    assert f"GATEWAY_{name.upper()}=" in (ROOT / ".env.example").read_text(encoding="utf-8")


def test_the_reference_names_no_setting_that_is_not_there() -> None:
    known = {f"GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields} | worker_settings()
    clients = {"GATEWAY_URL", "GATEWAY_API_KEY", "GATEWAY_SERVICE_HOST", "GATEWAY_PORT"}
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        named = set(re.findall(r"\bGATEWAY_[A-Z_]*[A-Z]\b", document.read_text(encoding="utf-8")))
        assert named <= known | clients, document


def worker_settings() -> set[str]:
    source = (ROOT / "cloudflare_worker" / "src" / "settings.ts").read_text(encoding="utf-8")
    block = source.partition("export interface Settings {")[2].partition("}")[0]
    fields = re.findall(r"^  (\w+):", block, re.MULTILINE)
    return {"GATEWAY_" + re.sub(r"([A-Z])", r"_\1", field).upper() for field in fields}


def test_the_workers_settings_are_in_its_reference_and_no_others() -> None:
    table = read("cloudflare.md").partition("## What differs")[0]
    assert set(re.findall(r"^\| `(GATEWAY_\w+)`", table, re.MULTILINE)) == worker_settings()


def test_whatever_the_worker_may_do_otherwise_is_in_its_reference() -> None:
    text = read("cloudflare.md")
    for test, reason in {**WORKER, **WORKER_RACES}.items():
        assert f"`{test.partition('::')[2].partition('[')[0]}`" in text, test
        assert reason in text, reason


def test_every_metric_is_in_the_reference() -> None:
    text = read("metrics.md")
    for metric in REGISTRY.collect():
        if metric.name.startswith("gateway_"):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            assert f"| `{name}` | {metric.type} |" in text
            assert metric.documentation in text


@pytest.mark.parametrize(("slug", "title"), SLUGS.items())
def test_every_problem_is_in_the_reference(slug: str, title: str) -> None:
    assert re.search(rf"^\| `{slug}` \| [\d, ]+ \| {re.escape(title)} \| .+ \|$", read("errors.md"), re.MULTILINE)


def test_every_event_name_is_in_the_reference() -> None:
    text = read("events.md")
    names: set[str] = set()
    for source in [*(ROOT / "topics").rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")]:
        code = source.read_text(encoding="utf-8")
        names |= set(re.findall(r'"(gateway\.(?:open|gap|close)[a-z.]*)"', code))
        names |= {f'"type":"{kind}"' for kind in re.findall(r'"type": "([a-z]+)"', code) if kind not in ("http",)}
    assert {"gateway.open", "gateway.gap", "gateway.close", '"type":"subscribed"'} <= names
    for name in sorted(names):
        assert name in text, name


def test_every_close_code_and_reason_is_in_the_reference() -> None:
    text = read("events.md")
    codes = {value for name, value in vars(websocket).items() if name.startswith("CLOSE_")}
    assert codes >= {1000, 1008, 1009, 1011, 1012}
    for code in codes:
        assert f"| {code} |" in text
    for reason in ("slow-reader", "shutdown", "closed-by-administrator", "no-subscribers"):
        assert f"`{reason}`" in text


def _paths(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found |= _paths(pattern.url_patterns, path)
        else:
            found.add(re.sub(r"<(?:\w+:)?(\w+)>", "{\\1}", path))
    return found


def test_every_endpoint_is_in_the_reference() -> None:
    text = read("endpoints.md")
    paths = _paths(get_resolver().url_patterns) - {"/api/"} | {
        "/sse",
        "/ws",
        "/publish",
        "/api/v1/tail",
        "/health",
        "/ready",
    }
    assert len(paths) > 10
    for path in paths:
        name = path.replace("{connection_id}", "{id}").replace("{path}", "{file}")
        assert f"| `{name}` |" in text, path


def test_every_log_event_is_in_the_reference() -> None:
    text = read("logs.md")
    for source in [path for room in ("topics", "publishing", "dashboard") for path in (ROOT / room).rglob("*.py")]:
        code = source.read_text(encoding="utf-8")
        for event in re.findall(r'logger\.(?:info|warning|error|exception)\(\s*"([^"]+)"', code):
            assert f"`{event}`" in text, (source.name, event)


def test_every_log_event_of_the_worker_is_in_its_reference() -> None:
    text = read("cloudflare.md").partition("## Logs")[2].partition("\n## ")[0]
    found = set()
    for source in (ROOT / "cloudflare_worker" / "src").rglob("*.ts"):
        code = source.read_text(encoding="utf-8")
        found |= set(re.findall(r'\blog\(\s*"(\w+)",\s*"([^"]+)"', code))
    assert ("info", "publish dropped") in found
    for level, event in found:
        assert f"| `{event}` | {level} |" in text, event


@pytest.mark.parametrize("page", ["delivery.md", "security.md"])
def test_every_test_that_an_explanation_names_is_there(page: str) -> None:
    text = (ROOT / "docs" / "explanation" / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:cloudflare_worker/)?tests?/[\w/.]+?\.(?:py|ts))(?:::(\w+))?`", text)
    assert len(named) > 15
    for file, test in named:
        code = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in code, f"{file}::{test}"


def _links() -> list[tuple[Path, str]]:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
    return [
        (document, link)
        for document in documents
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
        if not link.startswith(("http:", "https:", "mailto:"))
    ]


@pytest.mark.parametrize(("document", "link"), _links())
def test_every_link_between_documents_leads_somewhere(document: Path, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (document.parent / target).resolve() if target else document
    assert path.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors


def test_every_method_and_script_of_a_placement_is_in_the_reference() -> None:
    text = read("placement.md")
    methods = [name for name, value in vars(Placement).items() if inspect.isfunction(value) and name[0] != "_"]
    assert "attach" in methods
    for name in methods:
        assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", text, re.MULTILINE), name
    for script in (ROOT / "topics" / "placement" / "redis" / "lua").iterdir():
        assert f"`{script.name}`" in text, script


def test_every_key_in_redis_is_in_the_reference() -> None:
    text = read("placement.md")
    keys = Keys(0)
    names = [value for value in vars(keys).values() if value not in (keys.prefix, keys.channel_prefix)]
    names += [keys.topic("TOPIC"), keys.members("SESSION", "TOPIC")]
    names += [key("SESSION") for key in (keys.order, keys.records, keys.closed, keys.held)]
    for name in names:
        assert f"| `{name.removeprefix(keys.prefix)}` |" in text, name
