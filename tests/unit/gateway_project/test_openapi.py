import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def document(anonymous: httpx.AsyncClient) -> dict[str, Any]:
    answer = await anonymous.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    loaded = answer.json()
    assert isinstance(loaded, dict)
    return loaded


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_endpoint_is_in_it(document: dict[str, Any]) -> None:
    assert {(method, path) for path, method, _ in operations(document)} == {
        ("post", "/publish"),
        ("post", "/api/v1/publish"),
        ("post", "/api/v1/publish/batch"),
        ("get", "/sse"),
        ("get", "/ws"),
        ("get", "/api/v1/topics"),
        ("get", "/api/v1/topics/{topic}/events"),
        ("get", "/api/v1/connections"),
        ("get", "/api/v1/connections/{connection_id}"),
        ("delete", "/api/v1/connections/{connection_id}"),
        ("get", "/api/v1/nodes"),
        ("get", "/api/v1/sources"),
        ("get", "/api/v1/stats"),
        ("get", "/api/v1/tail"),
        ("get", "/health"),
        ("get", "/ready"),
        ("get", "/metrics"),
    }


def test_every_operation_is_named_once_and_described(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert method in METHODS
        assert operation["summary"], path
        assert set(operation["tags"]) <= tags


def test_errors_are_problems(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and (path, status) != ("/ready", "503"):
                assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_what_asks_for_a_key_says_so(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["Bearer"]["type"], schemes["Bearer"]["scheme"]) == ("http", "bearer")
    assert (schemes["ApiKey"]["in"], schemes["ApiKey"]["name"]) == ("header", "x-api-key")
    for path, _, operation in operations(document):
        names = [name for option in operation.get("security", []) for name in option]
        public = path in {"/sse", "/ws", "/health", "/ready"}
        assert names == ([] if public else ["Bearer", "ApiKey"]), path
        assert public or "401" in operation["responses"]


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert "#/components/schemas/ProblemDetails" in references
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_placeholders_are_parameters(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_strict_bodies_say_so(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["PublishRequest"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["topics", "id", "data"]
    assert "PublishRequest" in json.dumps(document["components"]["schemas"]["BatchRequest"])


async def test_the_page_loads_only_the_gateways_own_files(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/docs")
    assert answer.headers["content-type"].startswith("text/html")
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", answer.text)
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/static/"), address
        loaded = await anonymous.get(address)
        assert loaded.status_code == 200, address
        assert int(loaded.headers["content-length"]) == len(loaded.content) > 0
    assert "/api/v1/openapi.json" in answer.text


async def test_a_file_that_has_not_changed_is_not_sent_again(anonymous: httpx.AsyncClient) -> None:
    first = await anonymous.get("/static/ninja/swagger-ui.css")
    again = await anonymous.get("/static/ninja/swagger-ui.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["../settings.py", "ninja/../../api.py", "ninja", "ninja/", "%2e%2e/manage.py"])
async def test_nothing_else_is_served(anonymous: httpx.AsyncClient, path: str) -> None:
    assert (await anonymous.get(f"/static/{path}")).status_code == 404
