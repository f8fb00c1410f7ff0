"""What a subscriber asks for: header and query, any bytes."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.topics.scripted import settings
from tests.unit.topics.strategies import names
from topics.asgi import Scope
from topics.consumers.subscription import Subscription, read_subscription
from topics.exceptions import InvalidId, InvalidInput

SETTINGS = settings(MAX_TOPICS=4, TRUSTED_PROXIES="10.0.0.0/8")


def scope(query: bytes = b"", *headers: tuple[bytes, bytes], client: tuple[str, int] | None = ("10.0.0.1", 1)) -> Scope:
    return {"type": "http", "query_string": query, "headers": list(headers), "client": client}


def read(query: bytes = b"", *headers: tuple[bytes, bytes]) -> Subscription:
    return read_subscription(scope(query, *headers), SETTINGS, formats=("raw", "json"))


@given(
    st.lists(st.lists(names, min_size=1, max_size=2), max_size=2),
    st.lists(st.lists(names, min_size=1, max_size=2), max_size=2),
)
def test_header_and_query_are_one_list(in_headers: list[list[str]], in_query: list[list[str]]) -> None:
    expected = tuple(dict.fromkeys(topic for topics in in_headers + in_query for topic in topics))
    headers = [(b"x-sse-topic", ",".join(topics).encode()) for topics in in_headers]
    query = urlencode([("topic", ",".join(topics)) for topics in in_query]).encode()
    if 1 <= len(expected) <= 4:
        assert read(query, *headers).topics == expected
    else:
        with pytest.raises(InvalidInput):
            read(query, *headers)


@given(query=st.binary(max_size=60), value=st.binary(max_size=60), more=st.binary(max_size=20))
@example(query=b"topic=%ff", value=b"a", more=b"")
@example(query=b"topic=%ed%a0%80", value=b"a", more=b"")
@example(query=b"%ff=1&topic=a", value=b"a", more=b"")
@example(query=b"topic=\xc3\xa9", value=b"a", more=b"")
@example(query=b"topic=%00", value=b"a", more=b"")
@example(query=b"&" * 60, value=b"a", more=b"")
def test_any_bytes_are_read_or_refused(query: bytes, value: bytes, more: bytes) -> None:
    headers = ((b"x-sse-topic", value), (b"user-agent", more), (b"x-forwarded-for", more), (b"origin", more))
    refused: InvalidInput | None = None
    subscription: Subscription | None = None
    try:
        subscription = read(query, *headers)
    except InvalidInput as error:
        refused = error
    if refused is not None:
        refused.detail.encode()
        assert len(refused.detail) < 300
        return
    assert subscription is not None
    assert 1 <= len(subscription.topics) <= 4
    assert all(topic.isascii() and "," not in topic for topic in subscription.topics)


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        (b"", "invalid-topic"),
        (b"topics=a", "invalid-topic"),
        (b"topic=", "invalid-topic"),
        (b"topic=a,", "invalid-topic"),
        (b"topic=a&topic=", "invalid-topic"),
        (b"topic=a%20b", "invalid-topic"),
        (b"topic=a,b,c,d,e", "invalid-topic"),
        (b"topic=a,b,c&topic=d,e", "invalid-topic"),
        (b"topic=a&format=xml", "invalid-query"),
        (b"topic=a&format=", "invalid-query"),
        (b"topic=%ff", "invalid-query"),
        (b"topic=a&x=%ff", "invalid-query"),
        (b"topic=\xc3\xa9", "invalid-query"),
    ],
)
def test_what_is_wrong_with_a_query_is_told(query: bytes, slug: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(query)
    assert refused.value.slug == slug


def test_a_percent_encoded_topic_is_decoded_by_the_query_and_no_further() -> None:
    topic = "https://example.org/a%2Fb?x=y&z"
    assert read(b"topic=" + quote(topic, safe="").encode()).topics == (topic,)
    assert read(b"", (b"x-sse-topic", topic.encode())).topics == (topic,)


@pytest.mark.parametrize(
    ("header", "query", "last_id"),
    [
        (None, "", None),
        (b"7", "", "7"),
        (None, "&last_event_id=7%2F1", "7/1"),
        (b"7", "&last_event_id=8", "7"),
        (b"", "&last_event_id=8", "8"),
        (b"", "&last_event_id=", None),
        (b"7", "&last_event_id=not%20an%20id", "7"),
    ],
)
def test_where_a_client_stands_is_in_the_header_or_else_in_the_query(
    header: bytes | None, query: str, last_id: str | None
) -> None:
    headers = [] if header is None else [(b"last-event-id", header)]
    assert read(f"topic=a{query}".encode(), *headers).last_id == last_id


@pytest.mark.parametrize("last_id", ["a b", "a,b", "x" * 256, "\xe9", "\x01"])
def test_a_place_to_stand_that_is_no_id_is_refused(last_id: str) -> None:
    with pytest.raises(InvalidId, match="last-event-id"):
        read(b"topic=a", (b"last-event-id", last_id.encode("latin-1")))
    with pytest.raises(InvalidId, match="last_event_id"):
        read(f"topic=a&last_event_id={quote(last_id)}".encode())


def test_who_subscribes_is_kept() -> None:
    subscription = read(
        b"topic=a&format=json",
        (b"user-agent", b"caf\xe9/1"),
        (b"origin", b"https://app.example"),
        (b"x-forwarded-for", b"203.0.113.5, 198.51.100.7"),
    )
    assert subscription == Subscription(("a",), "json", None, "198.51.100.7", "café/1", b"https://app.example")
    unknown = read_subscription(scope(b"topic=a", client=None), SETTINGS, formats=())
    assert (unknown.client, unknown.user_agent, unknown.origin, unknown.form) == ("", "", None, None)
