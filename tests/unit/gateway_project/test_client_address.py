from pathlib import Path

import pytest

from gateway_project.client.address import Gateway, api_key, gateway_url, header_value, topic_list
from gateway_project.client.exceptions import UsageError


@pytest.mark.parametrize(
    ("argument", "environment", "url"),
    [
        (None, {}, "http://127.0.0.1:8000"),
        (None, {"GATEWAY_URL": ""}, "http://127.0.0.1:8000"),
        (None, {"GATEWAY_URL": "https://events.example"}, "https://events.example"),
        ("http://[::1]:9/", {"GATEWAY_URL": "https://events.example"}, "http://[::1]:9"),
        ("https://example.org/gateway/", {}, "https://example.org/gateway"),
    ],
)
def test_argument_goes_before_environment_and_environment_before_default(
    argument: str | None, environment: dict[str, str], url: str
) -> None:
    assert gateway_url(argument, environment) == url


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://127.0.0.1",
        "ws://127.0.0.1",
        "http://",
        "http://:80",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://ho st",
        "http://host\n",
        "http://hôst",
        "http://a..b",
        f"http://{'a' * 64}",
        "http://host/?topic=a",
        "http://host/#a",
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(UsageError, match="gateway's address"):
        gateway_url(url, {})


def test_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="no password") as refusal:
        gateway_url("http://user:hush@host", {})
    assert "hush" not in str(refusal.value)


def test_addresses_of_both_transports() -> None:
    assert Gateway("https://example.org/gateway").http("/sse") == "https://example.org/gateway/sse"
    assert Gateway("https://example.org/gateway").websocket("/ws") == "wss://example.org/gateway/ws"
    assert Gateway("http://example.org").websocket("/ws") == "ws://example.org/ws"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:8000", True),
        ("http://localhost", True),
        ("http://gateway.localhost", True),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
        ("https://example.org", False),
    ],
)
def test_only_this_machine_is_local(url: str, *, local: bool) -> None:
    assert Gateway(url).is_local is local


def test_key_is_not_in_the_representation() -> None:
    gateway = Gateway("http://host", "s3cret")
    assert "s3cret" not in repr(gateway)
    assert gateway.authorization == {"authorization": "Bearer s3cret"}
    assert Gateway("http://host").authorization == {}


def test_key_file_goes_before_environment_and_only_its_first_line_counts(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("  from-file \nsecond line\n")
    assert api_key(str(file), {"GATEWAY_API_KEY": "from-environment"}) == "from-file"
    assert api_key(None, {"GATEWAY_API_KEY": "from-environment"}) == "from-environment"


@pytest.mark.parametrize("content", [b"", b"\n", b"  \nkey\n", b"two words\n", "clé".encode(), b"\xff\xfe", b"a\x00b"])
def test_file_without_a_key_in_its_first_line_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="key file"):
        api_key(str(file), {"GATEWAY_API_KEY": "from-environment"})


def test_missing_key_file_is_refused_though_the_environment_has_a_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        api_key(str(tmp_path / "nowhere"), {"GATEWAY_API_KEY": "from-environment"})


@pytest.mark.parametrize("environment", [{}, {"GATEWAY_API_KEY": ""}, {"GATEWAY_API_KEY": " "}])
def test_without_a_key_the_sentence_says_where_to_put_one(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"Set GATEWAY_API_KEY.*--key-file"):
        api_key(None, environment)


def test_arguments_become_one_topic_list() -> None:
    assert topic_list(["orders", "news,sport"]) == "orders,news,sport"


@pytest.mark.parametrize("value", ["a\r\nx-sse-id: b", "a\nb", "a\x00", "tab\t", "é", "a\x7f", " a", "a "])
def test_what_a_header_cannot_carry_unchanged_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="topic"):
        header_value("topic", value)
