"""`GATEWAY_HISTORY`: which rule decides for a topic, and what is no rule."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.history.rules import parse_rules
from topics.placement.base import Limits

HOUR = 3600


@pytest.mark.parametrize(
    ("value", "topic", "limits"),
    [
        ("orders.*=1000/1h, *=0", "orders.eu", Limits(1000, HOUR)),
        ("orders.*=1000/1h, *=0", "orders.", Limits(1000, HOUR)),
        ("orders.*=1000/1h, *=0", "orders", None),
        ("orders.*=1000/1h, *=0", "my-orders.eu", None),
        ("a=5", "a", Limits(5, None)),
        ("a=5", "A", None),
        ("a=30s", "a", Limits(None, 30)),
        ("a=2m", "a", Limits(None, 120)),
        ("a=7d", "a", Limits(None, 7 * 24 * HOUR)),
        ("*=1", "anything/at?all", Limits(1, None)),
        # The longest match wins, wherever it stands, and only characters of its own count.
        ("*=1, a.*=2, a.b.*=3", "a.b.c", Limits(3, None)),
        ("a.b.*=3, a.*=2, *=1", "a.c", Limits(2, None)),
        ("a*b*c=1, ab*=2, a***c=3", "abc", Limits(1, None)),
        ("a.b=0, a.*=5", "a.b", None),
        ("x=1, a*=2, *b=3", "ab", Limits(2, None)),
        ("*ab*b=1", "aabb", Limits(1, None)),
        ("*ab*b=1", "aab", None),
        ("a*aa=1", "aa", None),
        # A topic made to fit almost is told apart before the test's time is up: no star is tried twice.
        (f"*{'a*' * 20}b=1", "a" * 255, None),
        # Nothing but the asterisk means anything.
        ("a.c=1", "abc", None),
        ("a[b]=1", "ab", None),
        ("a[b]=1", "a[b]", Limits(1, None)),
        ("https://example.org/*=1", "https://example.org/a?b", Limits(1, None)),
        # The last equals sign ends the pattern.
        ("a?b=c=4", "a?b=c", Limits(4, None)),
        ("a=0s", "a", None),
        ("a=5/0s", "a", None),
        ("", "a", None),
        (" , ", "a", None),
    ],
)
def test_which_limits_a_topic_has(value: str, topic: str, limits: Limits | None) -> None:
    assert parse_rules(value).of(topic) == limits


@pytest.mark.parametrize(("value", "keeps"), [("", False), ("*=0", False), ("a=0, b=0s", False), ("*=0, a=1", True)])
def test_whether_anything_is_kept_at_all(value: str, keeps: bool) -> None:
    assert bool(parse_rules(value)) is keeps


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("orders", "'orders' is not a rule"),
        ("=5", "'=5' is not a rule"),
        ("a b=5", "'a b=5' is not a rule"),
        ("a=", "'a=' is not a rule"),
        ("\xe9=1", "is not a rule"),
        ("a=many", "'many' is not an amount"),
        ("a=-1", "'-1' is not an amount"),
        ("a=1h/1000", "'1h/1000' is not an amount"),
        ("a=1000/1w", "'1000/1w' is not an amount"),
        ("a=1000/", "'1000/' is not an amount"),
        ("a=1.5h", "'1.5h' is not an amount"),
        ("a=1, a=2", "the pattern 'a' is given twice"),
        ("a=" + "9" * 10, "is not an amount"),
        ("a" * 256 + "=1", "is not a rule"),
    ],
)
def test_what_is_no_rule_is_named(value: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        parse_rules(value)


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_is_rules_or_a_sentence(value: str, topic: str) -> None:
    try:
        limits = parse_rules(value).of(topic)
    except ValueError:
        return
    assert limits is None or limits.events is not None or limits.seconds is not None
