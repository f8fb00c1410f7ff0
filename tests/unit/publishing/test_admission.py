"""The decision on a publish (contract §3): every mixture of faults gets the answer of the first one in the table."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from publishing.admission import Admitted, admit
from publishing.keys import Keys
from tests.unit.topics.strategies import event_types, names
from topics.problems import Problem

Headers = list[tuple[bytes, bytes]]

KEYS = Keys(["unit-key", "second"])
LIMIT = 1000


def decide(method: str, headers: Headers) -> Admitted | Problem:
    return admit(method, headers, keys=KEYS, max_topics=3, max_event_bytes=LIMIT)


GOOD: dict[str, bytes] = {
    "authorization": b"Bearer unit-key",
    "x-sse-topic": b"a, b",
    "x-sse-id": b"42",
    "x-sse-event": b"greeting",
    "x-sse-retry": b"5000",
    "content-length": b"1000",
}


def good(**changed: bytes | None) -> Headers:
    """Return headers in order, some of them changed or (None) left out; `_` stands for `-`."""
    headers = GOOD | {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name.encode(), value) for name, value in headers.items() if value is not None]


def refused(method: str, headers: Headers) -> tuple[int, str]:
    answer = decide(method, headers)
    assert isinstance(answer, Problem)
    return answer.status, answer.slug


def test_good_headers_are_admitted() -> None:
    assert decide("POST", good()) == Admitted(("a", "b"), "42", "greeting", 5000)
    assert decide("POST", good(x_sse_event=None, x_sse_retry=None, content_length=None)) == Admitted(
        ("a", "b"), "42", None, None
    )
    assert decide("POST", good(x_sse_event=b"message", x_sse_retry=b"0")) == Admitted(("a", "b"), "42", None, 0)


@given(st.lists(names, min_size=1, max_size=3), names, st.none() | event_types, st.none() | st.integers(0, 86_400_000))
def test_everything_that_the_rules_allow_is_admitted(
    topics: list[str], event_id: str, event: str | None, retry: int | None
) -> None:
    headers = good(
        x_sse_topic=",".join(topics).encode(),
        x_sse_id=event_id.encode(),
        x_sse_event=None if event is None else event.encode(),
        x_sse_retry=None if retry is None else str(retry).encode(),
    )
    assert decide("POST", headers) == Admitted(tuple(dict.fromkeys(topics)), event_id, event, retry)


known = st.sampled_from([name.encode() for name in GOOD] + [b"x-api-key", b"transfer-encoding", b"expect"])
header_values = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([*GOOD.values(), b"unit-key", b"Bearer", b"bearer  second ", b"-1", b"1e3", b"0" * 5000 + b"1"]),
)


@given(
    method=st.sampled_from(["POST", "GET", "PUT", "HEAD", "post", ""]) | st.text(max_size=20),
    headers=st.lists(st.tuples(known | st.binary(max_size=20), header_values), max_size=12),
)
@example(method="POST", headers=good(content_length=b"9" * 100_000))
@example(method="POST", headers=good(content_length=b"0" * 100_000 + b"1"))
@example(method="POST", headers=good(content_length="²".encode("latin-1")))
@example(method="POST", headers=good(x_sse_retry=b"1" * 5000))
@example(method="POST", headers=good(x_sse_topic=b"a," * 100_000))
@example(method="POST", headers=good(x_sse_topic=b"\xff\x00\r\n"))
def test_no_request_raises_and_every_refusal_is_a_whole_answer(method: str, headers: Headers) -> None:
    answer = decide(method, headers)
    if isinstance(answer, Admitted):
        assert method == "POST"
        return
    assert answer.status in (400, 401, 405, 413)
    assert len(answer.detail) < 300
    assert answer.body().isascii()
    for name, value in answer.asgi_headers():
        assert name.islower()
        assert b"\r" not in value
        assert b"\n" not in value


# One fault of each row of the table, in its order; several ways to have it.
WRONG_KEY: list[dict[str, bytes | None]] = [
    {"authorization": None},
    {"authorization": b"Bearer wrong"},
    {"authorization": b"unit-key"},
    {"authorization": b"Basic unit-key"},
    {"authorization": b"Bearer unit-key2"},
    {"authorization": b"Bearer "},
    {"authorization": None, "x-api-key": b"Bearer unit-key"},
]
BAD_HEADERS: list[tuple[str, dict[str, bytes | None]]] = [
    ("missing-header", {"x-sse-topic": None}),
    ("missing-header", {"x-sse-id": None}),
    ("invalid-topic", {"x-sse-topic": b""}),
    ("invalid-topic", {"x-sse-topic": b"a,,b"}),
    ("invalid-topic", {"x-sse-topic": b"a b"}),
    ("invalid-topic", {"x-sse-topic": b"a\x00"}),
    ("invalid-topic", {"x-sse-topic": "é".encode()}),
    ("invalid-topic", {"x-sse-topic": b"a,b,c,d"}),
    ("invalid-id", {"x-sse-id": b""}),
    ("invalid-id", {"x-sse-id": b"a,b"}),
    ("invalid-id", {"x-sse-id": b"a\rb"}),
    ("invalid-event-type", {"x-sse-event": b""}),
    ("invalid-event-type", {"x-sse-event": b"gateway.open"}),
    ("invalid-event-type", {"x-sse-event": b"a\nb"}),
    ("invalid-retry", {"x-sse-retry": b"soon"}),
    ("invalid-retry", {"x-sse-retry": b"86400001"}),
    ("invalid-retry", {"x-sse-retry": b""}),
]
TOO_LARGE: list[dict[str, bytes | None]] = [{"content-length": b"1001"}, {"content-length": b"9" * 5000}]


def mixed(*faults: dict[str, bytes | None]) -> Headers:
    headers: dict[str, bytes | None] = {**GOOD}
    for fault in faults:
        headers |= fault
    return [(name.encode(), value) for name, value in headers.items() if value is not None]


@given(
    method=st.sampled_from(["GET", "DELETE", "get", "BREW"]) | st.none(),
    key=st.sampled_from(WRONG_KEY) | st.none(),
    bad=st.sampled_from(BAD_HEADERS) | st.none(),
    size=st.sampled_from(TOO_LARGE) | st.none(),
    shuffled=st.randoms(use_true_random=False),
)
def test_the_first_fault_in_the_table_is_the_answer(
    method: str | None,
    key: dict[str, bytes | None] | None,
    bad: tuple[str, dict[str, bytes | None]] | None,
    size: dict[str, bytes | None] | None,
    shuffled: Any,
) -> None:
    headers = mixed(key or {}, bad[1] if bad else {}, size or {})
    shuffled.shuffle(headers)
    answer = decide(method or "POST", headers)
    if method is not None:
        assert isinstance(answer, Problem)
        assert (answer.status, dict(answer.headers)["allow"]) == (405, "POST, OPTIONS")
    elif key is not None:
        # No word on anything else: not even on what is wrong with the other headers.
        assert answer == decide("POST", [])
        assert isinstance(answer, Problem)
        assert (answer.status, dict(answer.headers)["www-authenticate"]) == (401, "Bearer")
    elif bad is not None:
        assert isinstance(answer, Problem)
        assert (answer.status, answer.slug) == (400, bad[0])
    elif size is not None:
        assert isinstance(answer, Problem)
        assert (answer.status, answer.slug) == (413, "too-large")
        assert "1000 bytes" in answer.detail
    else:
        assert isinstance(answer, Admitted)


@pytest.mark.parametrize(("slug", "fault"), BAD_HEADERS)
def test_a_refusal_names_the_header_that_is_wrong(slug: str, fault: dict[str, bytes | None]) -> None:
    answer = decide("POST", mixed(fault))
    assert isinstance(answer, Problem)
    assert answer.slug == slug
    assert next(iter(fault)) in answer.detail


@pytest.mark.parametrize("name", ["x-sse-id", "x-sse-event", "x-sse-retry", "content-length"])
def test_a_header_sent_twice_with_two_values_is_ambiguous(name: str) -> None:
    assert refused("POST", [*good(), (name.encode(), b"7")]) == (400, "invalid-request")
    # The same value twice says the same.
    assert isinstance(decide("POST", [*good(), (name.encode(), GOOD[name])]), Admitted)


def test_topics_of_several_header_lines_are_one_list() -> None:
    admitted = decide("POST", [*good(x_sse_topic=b"b, a"), (b"x-sse-topic", b"c,a")])
    assert isinstance(admitted, Admitted)
    assert admitted.topics == ("b", "a", "c")
    assert refused("POST", [*good(x_sse_topic=b"a,b"), (b"x-sse-topic", b"c,d")]) == (400, "invalid-topic")


@pytest.mark.parametrize("declared", [b"1000", b"0", b"0001000", b"0" * 5000 + b"1000"])
def test_a_size_within_the_limit_is_admitted_however_it_is_written(declared: bytes) -> None:
    assert isinstance(decide("POST", good(content_length=declared)), Admitted)


@pytest.mark.parametrize("declared", [b"", b"-1", b"+1", b"1.0", b"0x1", b"1 ", b"1,1", "\u0661".encode(), b"\xb2"])
def test_a_size_that_is_no_number_is_refused(declared: bytes) -> None:
    assert refused("POST", good(content_length=declared)) == (400, "invalid-request")


@pytest.mark.parametrize(
    "headers",
    [
        good(authorization=b"bearer unit-key"),
        good(authorization=b"BEARER  unit-key "),
        good(authorization=b"Bearer second"),
        [*good(authorization=None), (b"x-api-key", b"unit-key")],
        [*good(authorization=b"Bearer wrong"), (b"x-api-key", b"second")],
    ],
)
def test_any_key_in_either_header_opens(headers: Headers) -> None:
    assert isinstance(decide("POST", headers), Admitted)


def test_without_keys_nothing_opens() -> None:
    for keys in (Keys([]), Keys([""])):
        for headers in (good(), good(authorization=b"Bearer "), good(authorization=None)):
            answer = admit("POST", headers, keys=keys, max_topics=3, max_event_bytes=LIMIT)
            assert isinstance(answer, Problem)
            assert answer.status == 401
