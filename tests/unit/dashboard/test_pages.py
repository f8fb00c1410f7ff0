"""How the dashboard's files are served, and what stands in for them."""

import base64
import gzip
import hashlib
import json
import os
import re
from pathlib import Path

import httpx
import pytest

from dashboard import pages
from gateway_project.api import api

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "assets/index-Ab_12-xY.js"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>built</title>")
    (tmp_path / SCRIPT).write_text("'the script';" * 100)
    (tmp_path / f"{SCRIPT}.gz").write_bytes(gzip.compress(b"'the script';" * 100))
    monkeypatch.setattr(pages, "BUILD", tmp_path)
    return tmp_path


def policy(answer: httpx.Response) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";")]
    return {name: value for name, _, value in parts}


@pytest.mark.usefixtures("build")
async def test_the_page_allows_nothing_inline_and_nothing_of_other_hosts(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/dashboard/?view=tail")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "built" in answer.text
    rules = policy(answer)
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "max-age=0" in answer.headers["cache-control"], "a new build must be seen"


@pytest.mark.usefixtures("build")
async def test_a_file_with_a_hash_in_its_name_is_kept_for_ever_and_compressed(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"/dashboard/{SCRIPT}", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert "immutable" in answer.headers["cache-control"]
    assert answer.text == "'the script';" * 100
    assert answer.headers["content-type"].startswith("text/javascript")
    plain = await anonymous.get(f"/dashboard/{SCRIPT}", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == answer.text


async def test_a_new_build_is_noticed(anonymous: httpx.AsyncClient, build: Path) -> None:
    assert (await anonymous.get("/dashboard/assets/new-12345678.js")).status_code == 404
    (build / "assets" / "new-12345678.js").write_text("1")
    (build / "index.html").write_text("<!doctype html><title>newer</title>")
    os.utime(build / "index.html", ns=(1, 1))
    assert "newer" in (await anonymous.get("/dashboard/")).text
    assert (await anonymous.get("/dashboard/assets/new-12345678.js")).text == "1"


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("path", ["../pages.py", "assets/../../pages.py", "assets", "assets/", "%2e%2e/pages.py"])
async def test_nothing_but_the_build_is_served(anonymous: httpx.AsyncClient, path: str) -> None:
    assert (await anonymous.get(f"/dashboard/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["/static/dashboard/index.html", "/static/dashboard/"])
async def test_the_build_is_not_served_without_its_headers(anonymous: httpx.AsyncClient, path: str) -> None:
    assert (await anonymous.get(path)).status_code == 404


async def test_without_its_slash_the_path_leads_on(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/dashboard?view=tail&topic=a%2Fb")
    assert (answer.status_code, answer.headers["location"]) == (308, "/dashboard/?view=tail&topic=a%2Fb")


async def test_before_it_is_built_it_says_how(
    anonymous: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BUILD", tmp_path / "none")
    answer = await anonymous.get("/dashboard/")
    assert answer.status_code == 200
    assert "make frontend" in answer.text
    assert 'href="/api/docs"' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    (style,) = re.findall("<style>(.*)</style>", answer.text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy(answer)["style-src"] == f"'sha256-{digest}'"
    assert (await anonymous.get(f"/dashboard/{SCRIPT}")).status_code == 404


@pytest.mark.skipif(not pages.built(), reason="not run: the dashboard is not built (make frontend)")
async def test_the_first_load_is_under_200_kb(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/dashboard/", headers={"accept-encoding": "gzip"})
    addresses = re.findall(r'(?:src|href)="(/dashboard/[^"]+)"', page.text)
    loaded = [page, *[await anonymous.get(address, headers={"accept-encoding": "gzip"}) for address in addresses]]
    assert {answer.headers["content-type"].partition(";")[0] for answer in loaded} >= {"text/javascript", "text/css"}
    assert sum(int(answer.headers["content-length"]) for answer in loaded) < 200_000


async def test_other_methods_are_refused(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/dashboard/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_dashboard_knows_the_api_as_it_is() -> None:
    kept = json.loads((ROOT / "frontend" / "openapi.json").read_text(encoding="utf-8"))
    now = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    assert kept == now, "write frontend/openapi.json and its types again, as docs/how-to/dashboard.md says"
