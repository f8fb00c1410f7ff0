"""Which origins may, and what their browsers are told (WHATWG Fetch §3.2)."""

import pytest

from topics.cors import Cors

LISTED, STRANGER = b"https://app.example", b"https://evil.example"


def cors(*origins: str) -> Cors:
    return Cors(origins, methods="GET, OPTIONS", headers="x-sse-topic", expose="x-sse-dropped")


def test_every_origin_gets_the_star_that_caches_may_keep() -> None:
    rule = cors("*")
    for origin in (None, LISTED, STRANGER, b"null"):
        assert rule.allows(origin)
        assert dict(rule.response(origin)) == {
            b"access-control-allow-origin": b"*",
            b"access-control-expose-headers": b"x-sse-dropped",
        }


def test_a_listed_origin_is_named_and_others_are_not_and_caches_are_told_why() -> None:
    rule = cors("https://app.example", "https://other.example")
    assert dict(rule.response(LISTED)) == {
        b"access-control-allow-origin": LISTED,
        b"access-control-expose-headers": b"x-sse-dropped",
        b"vary": b"origin",
    }
    for origin in (STRANGER, None, b"null", b"https://app.example.evil", b"http://app.example", b"HTTPS://APP.EXAMPLE"):
        assert dict(rule.response(origin)) == {b"vary": b"origin"}
        assert rule.allows(origin) is (origin is None)


def test_with_no_origin_listed_nobody_is_told_anything() -> None:
    rule = cors()
    assert rule.response(LISTED) == rule.preflight(LISTED) == []
    assert not rule.allows(LISTED)
    # A request without an origin is no page's: nothing to protect.
    assert rule.allows(None)


@pytest.mark.parametrize("rule", [cors("*"), cors("https://app.example")])
def test_a_preflight_of_an_allowed_origin_says_what_it_may_do(rule: Cors) -> None:
    headers = dict(rule.preflight(LISTED))
    assert headers[b"access-control-allow-methods"] == b"GET, OPTIONS"
    assert headers[b"access-control-allow-headers"] == b"x-sse-topic"
    assert int(headers[b"access-control-max-age"]) > 0
    assert headers[b"access-control-allow-origin"] in (b"*", LISTED)


def test_a_preflight_of_a_stranger_gets_no_permission() -> None:
    assert dict(cors("https://app.example").preflight(STRANGER)) == {b"vary": b"origin"}


def test_an_origin_of_any_bytes_is_only_compared() -> None:
    assert not cors("https://app.example").allows(b"\xff\x00")
