"""Settings: whatever the environment holds there is an answer, and it says what to set."""

import ipaddress
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from topics.conf import GatewaySettings, SettingProblem, load

KEY = {"GATEWAY_API_KEYS": "unit-key"}
NAMES = [f"GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields]


def problems(environ: Mapping[str, str]) -> list[SettingProblem]:
    return list(load(environ)[1])


def test_one_key_is_all_that_must_be_set() -> None:
    settings, wrong = load(KEY)
    assert wrong == ()
    assert settings.api_keys == ("unit-key",)
    assert (settings.max_topics, settings.slow_reader, settings.cors_origins) == (100, "disconnect", ("*",))
    assert settings.node_name
    assert settings.node_host


names = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(NAMES).map(str.lower),
    st.text(st.characters(exclude_characters="\0"), max_size=20).map("GATEWAY_".__add__),
    st.text(max_size=10),
)
values = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=30),
    st.sampled_from(["nan", "inf", "-inf", "-1", "0", "1e400", "9" * 5000, "true", "*", ",", "::/0", "a b", "1_0"]),
)


@given(st.dictionaries(names, values, max_size=6))
@example({})
@example({"GATEWAY_": ""})
@example({"GATEWAY_\xdf": "1"})
@example({"GATEWAY_\udc80": "1"})
@example({"GATEWAY_\u0130": "1", "GATEWAY_MAX_TOPICS": "x"})
@example({"GATEWAY_API_KEYS": "\udcff"})
@example({"GATEWAY_MAX_TOPICS": "1", "GATEWAY_max_topics": "2"})
def test_no_environment_raises(environ: dict[str, str]) -> None:
    settings, wrong = load(environ)
    assert isinstance(settings, GatewaySettings)
    for problem in wrong:
        assert problem.name in problem.message
        assert problem.message.endswith((".", "?", ")"))
        problem.message.encode()
    assert len({problem.name for problem in wrong}) == len(wrong)
    # A server starts when nothing is wrong, and then it has a key.
    assert wrong or settings.api_keys


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("GATEWAY_NODE_NAME", "GATEWAY_NODE_HOST")])
def test_a_wrong_value_names_its_variable_and_leaves_the_others(name: str) -> None:
    settings, (problem,) = load({**KEY, "GATEWAY_NODE_HOST": "other", name: "\x01"})
    assert problem.name == name
    assert problem.message.startswith(f"{name} has a wrong value: ")
    assert settings.node_host == "other"


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("GATEWAY_MAX_TOPICS", "0", "greater than or equal to 1"),
        ("GATEWAY_MAX_TOPICS", "many", "integer"),
        ("GATEWAY_MAX_EVENT_BYTES", "-1", "greater than or equal to 1"),
        ("GATEWAY_OUTBOX_BYTES", "10", "greater than or equal to 1024"),
        ("GATEWAY_SLOW_READER", "drop", "'disconnect' or 'drop-oldest'"),
        ("GATEWAY_HEARTBEAT_SECONDS", "0", "greater than or equal to 0.1"),
        ("GATEWAY_HEARTBEAT_SECONDS", "nan", "less than or equal to 3600"),
        ("GATEWAY_HEARTBEAT_SECONDS", "inf", "less than or equal to 3600"),
        ("GATEWAY_DRAIN_SECONDS", "soon", "number"),
        ("GATEWAY_RETRY_MS", "86400001", "less than or equal to 86400000"),
        ("GATEWAY_METRICS_PUBLIC", "maybe", "boolean"),
        ("GATEWAY_LOG_FORMAT", "xml", "'console' or 'json'"),
        ("GATEWAY_LOG_LEVEL", "INFO!", "'debug', 'info'"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "such as 192.0.2.1 or 10.0.0.0/8"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.1/8", "no bits set behind the prefix"),
        ("GATEWAY_CORS_ORIGINS", "example.org", "https://example.org"),
        ("GATEWAY_CORS_ORIGINS", "https://example.org/", "value: 'https://example.org/' is not an origin"),
        ("GATEWAY_ADMIN_CORS_ORIGINS", "https://a.example/path", "no path"),
        ("GATEWAY_NODE_NAME", "node 1", "visible ASCII characters without a comma"),
        ("GATEWAY_NODE_NAME", "a,b", "visible ASCII characters without a comma"),
        ("GATEWAY_API_KEYS", "a b", "visible ASCII"),
        ("GATEWAY_HISTORY", "orders=many", "'many' is not an amount; write PATTERN=COUNT"),
        ("GATEWAY_HISTORY_STORE", "disk", "'memory', 'redis' or 'database'"),
        ("GATEWAY_HISTORY_STORE", "redis", "redis needs GATEWAY_REDIS_URL"),
        ("GATEWAY_HISTORY_BYTES", "1", "greater than or equal to 65536"),
        ("GATEWAY_DATABASE_URL", "history.sqlite3", "a URL such as sqlite:///gateway.sqlite3"),
        ("GATEWAY_DEDUPE_SECONDS", "-1", "greater than or equal to 0"),
    ],
)
def test_the_sentence_says_what_to_set(name: str, value: str, advice: str) -> None:
    (problem,) = problems({**KEY, name: value})
    assert problem.name == name
    assert advice in problem.message


@pytest.mark.parametrize(
    ("given", "store"),
    [
        ({}, "memory"),
        ({"GATEWAY_REDIS_URL": "redis://127.0.0.1"}, "redis"),
        ({"GATEWAY_REDIS_URL": "redis://127.0.0.1", "GATEWAY_HISTORY_STORE": "database"}, "database"),
        ({"GATEWAY_HISTORY_STORE": "database"}, "database"),
        ({"GATEWAY_HISTORY_STORE": "memory"}, "memory"),
    ],
)
def test_the_store_of_histories_follows_the_placement(given: dict[str, str], store: str) -> None:
    settings, wrong = load({**KEY, **given})
    assert wrong == ()
    assert settings.history_store == store


def test_the_memory_of_one_process_is_no_store_for_several() -> None:
    (problem,) = problems(
        {**KEY, "GATEWAY_REDIS_URL": "redis://127.0.0.1", "GATEWAY_HISTORY_STORE": "memory"},
    )
    assert problem.name == "GATEWAY_HISTORY_STORE"
    assert "choose redis or database" in problem.message


def test_a_redis_that_is_wrong_is_the_only_fault_told() -> None:
    (problem,) = problems({**KEY, "GATEWAY_REDIS_URL": "http://x", "GATEWAY_HISTORY_STORE": "redis"})
    assert problem.name == "GATEWAY_REDIS_URL"


def test_all_problems_are_told_at_once() -> None:
    wrong = problems({"GATEWAY_MAX_TOPICS": "x", "GATEWAY_MAX_TOPIC": "1", "GATEWAY_RETRY_MS": "-1"})
    assert {problem.name for problem in wrong} == {
        "GATEWAY_API_KEYS",
        "GATEWAY_MAX_TOPICS",
        "GATEWAY_MAX_TOPIC",
        "GATEWAY_RETRY_MS",
    }


@pytest.mark.parametrize("value", [None, "", " ", ",", " , "])
def test_no_key_says_so(value: str | None) -> None:
    (problem,) = problems({} if value is None else {"GATEWAY_API_KEYS": value})
    assert problem == SettingProblem(
        "GATEWAY_API_KEYS", "GATEWAY_API_KEYS is not set; set it to one or more keys separated by commas."
    )


def test_who_has_set_the_clients_key_is_told_of_the_other_name() -> None:
    (problem,) = problems({"GATEWAY_API_KEY": "unit-key", "GATEWAY_URL": "http://127.0.0.1:1"})
    assert problem.name == "GATEWAY_API_KEYS"
    assert "GATEWAY_API_KEY is what clients send" in problem.message


def test_a_wrong_key_is_not_repeated() -> None:
    (problem,) = problems({"GATEWAY_API_KEYS": "hush hush,other"})
    assert "hush" not in problem.message


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("GATEWAY_MAX_TOPIC", "did you mean GATEWAY_MAX_TOPICS?"),
        ("GATEWAY_APIKEYS", "did you mean GATEWAY_API_KEYS?"),
        ("GATEWAY_SLOWREADER", "did you mean GATEWAY_SLOW_READER?"),
        ("GATEWAY_max_topics", "GATEWAY_max_topics is not a setting"),
        ("GATEWAY_XYZ", "see docs/reference/settings.md"),
        ("GATEWAY_PORTS", "GATEWAY_PORTS is not a setting"),
    ],
)
def test_an_unknown_name_stops_the_start_with_a_suggestion(name: str, advice: str) -> None:
    (problem,) = problems({**KEY, name: "1"})
    assert problem.name == name
    assert advice in problem.message


def test_what_kubernetes_sets_for_a_service_called_gateway_is_left_alone() -> None:
    service = {
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT": "80",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP_PROTO": "tcp",
        "GATEWAY_PORT_80_TCP_PORT": "80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert problems({**KEY, **service}) == []


def test_names_of_others_are_left_alone() -> None:
    assert problems({**KEY, "PATH": "/bin", "GATEWAYS": "x", "MY_GATEWAY_X": "y", "gateway_max_topics": "x"}) == []


def test_lists_are_separated_by_commas() -> None:
    settings, wrong = load(
        {
            "GATEWAY_API_KEYS": " one ,two,, ",
            "GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1,2001:db8::/32",
            "GATEWAY_CORS_ORIGINS": "https://a.example, http://localhost:5173,null",
            "GATEWAY_ADMIN_CORS_ORIGINS": "",
        }
    )
    assert wrong == ()
    assert settings.api_keys == ("one", "two")
    assert settings.trusted_proxies == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("192.0.2.1/32"),
        ipaddress.ip_network("2001:db8::/32"),
    )
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173", "null")
    assert settings.admin_cors_origins == ()
