"""The rules of contract §1, each compared with the contract's words said a second time."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.unit.topics.strategies import NAME_CHARACTERS, event_types, names
from topics.events import MAX_RETRY_MS, check_event_type, check_id, check_retry, parse_topics, rfc3339
from topics.exceptions import InvalidEventType, InvalidId, InvalidInput, InvalidRetry, InvalidTopic


def is_name(text: str) -> bool:
    return 1 <= len(text) <= 255 and all(character in NAME_CHARACTERS for character in text)


def allowed_topics(values: list[str], limit: int) -> list[str] | None:
    """Contract §1's topic list, said again: the topics, None when it is refused."""
    items = [item.strip(" ") for value in values for item in value.split(",")]
    topics = list(dict.fromkeys(items))
    return topics if all(map(is_name, items)) and len(topics) <= limit else None


almost_topics = st.text(NAME_CHARACTERS + " ,", max_size=20)
lists = st.lists(
    almost_topics | st.text() | st.text(st.characters()) | st.integers(250, 260).map(lambda size: "x" * size),
    max_size=4,
)


@given(lists, st.integers(1, 6))
@example([], 1)
@example([""], 1)
@example(["a,"], 9)
@example([" a ,  b"], 9)
@example(["a\t,b"], 9)
@example(["a,a,a"], 1)
@example(["a b"], 9)
@example(["a\n"], 9)
@example(["\u0661"], 9)
@example(["a\x7f"], 9)
@example(["%2C,http://x/y?z=%20#a"], 9)
@example(["A,a"], 2)
@example(["\ud800"], 9)
def test_a_topic_list_is_what_the_contract_says(values: list[str], limit: int) -> None:
    expected = allowed_topics(values, limit)
    if expected is None:
        with pytest.raises(InvalidTopic, match=r"^x-sse-topic holds .+\.$"):
            parse_topics(values, limit=limit, where="x-sse-topic")
    else:
        assert list(parse_topics(values, limit=limit, where="x-sse-topic")) == expected


@given(st.lists(names, min_size=1, max_size=8))
def test_lists_are_one_union_however_they_are_split(topics: list[str]) -> None:
    expected = tuple(dict.fromkeys(topics))
    assert parse_topics(topics, limit=8, where="here") == expected
    assert parse_topics([" , ".join(topics)], limit=8, where="here") == expected


@given(st.text() | st.text(st.characters()) | names | names.map(lambda name: name + "\n"))
@example("x" * 255)
@example("x" * 256)
def test_an_id_is_a_name(text: str) -> None:
    if is_name(text):
        assert check_id(text, where="x-sse-id") == text
    else:
        with pytest.raises(InvalidId, match=r"^x-sse-id holds "):
            check_id(text, where="x-sse-id")


@given(st.text() | names | names.map("gateway.".__add__))
@example("message")
@example("gateway")
@example("Gateway.open")
@example("gateway.")
def test_an_event_type_is_a_name_that_is_not_the_gateways(text: str) -> None:
    if is_name(text) and text[:8] != "gateway.":
        assert check_event_type(text, where="x-sse-event") == (None if text == "message" else text)
    else:
        with pytest.raises(InvalidEventType, match="x-sse-event"):
            check_event_type(text, where="x-sse-event")


@given(st.integers(-10, MAX_RETRY_MS + 10).map(str) | st.text() | st.text("0123456789+-_. e", max_size=12))
@example("0")
@example("86400000")
@example("86400001")
@example("1" * 5000)
@example("٣")
@example("²")
@example(" 1")
@example("1_0")
@example("-0")
def test_a_retry_is_whole_milliseconds_of_a_day_at_most(text: str) -> None:
    digits = bool(text) and all(character in "0123456789" for character in text)
    if digits and len(text) <= 8 and int(text) <= 86_400_000:
        assert check_retry(text, where="x-sse-retry") == int(text)
    else:
        with pytest.raises(InvalidRetry, match=r"^x-sse-retry must be "):
            check_retry(text, where="x-sse-retry")


@given(st.text(min_size=200, max_size=2000) | st.text(st.characters(), min_size=1))
def test_a_refusal_is_short_and_printable_whatever_was_sent(text: str) -> None:
    assume(not is_name(text))
    with pytest.raises(InvalidInput) as refused:
        check_id(text, where="id")
    detail = refused.value.detail
    assert len(detail) < 120
    assert detail.isascii()
    assert detail.isprintable()


@given(event_types)
def test_a_custom_event_type_stays_itself(name: str) -> None:
    assert check_event_type(name, where="event") == name


def test_times_are_rfc_3339_in_utc_with_microseconds() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_767_323_045.678901) == "2026-01-02T03:04:05.678901Z"
