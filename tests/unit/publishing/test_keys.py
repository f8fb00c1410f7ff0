import pytest

from publishing.keys import HeaderValue, Keys

KEYS = Keys(["first", "second"])


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [
        ("Bearer first", None),
        (b"Bearer second", None),
        ("bearer first", None),
        ("BEARER  first ", None),
        (None, "second"),
        (None, b" first"),
        ("Bearer wrong", "first"),
        ("Basic Zmlyc3Q=", b"second"),
    ],
)
def test_either_header_opens_with_any_key(authorization: HeaderValue, x_api_key: HeaderValue) -> None:
    assert KEYS.allows(authorization, x_api_key)


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [
        (None, None),
        ("", ""),
        ("first", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearerfirst", None),
        ("Basic first", None),
        ("Bearer first second", None),
        ("Bearer firs", "secon"),
        ("Bearer FIRST", None),
        (None, "Bearer first"),
        (None, "first,second"),
        (b"Bearer \xff\xfe", b"\x00"),
        ("Bearer \u20ac", "\ud800"),
    ],
)
def test_nothing_else_opens(authorization: HeaderValue, x_api_key: HeaderValue) -> None:
    assert not KEYS.allows(authorization, x_api_key)


@pytest.mark.parametrize("keys", [[], [""]])
def test_without_a_key_nothing_opens(keys: list[str]) -> None:
    assert not Keys(keys).allows("Bearer ", "")
    assert not Keys(keys).allows(None, None)


def test_a_key_beyond_ascii_is_compared_by_its_utf8_bytes() -> None:
    assert Keys(["schlüssel"]).allows("Bearer schlüssel".encode(), None)
    # Django hands on each byte of a header as one character.
    assert Keys(["schlüssel"]).allows(None, "schlüssel".encode().decode("latin-1"))
    assert not Keys(["schlüssel"]).allows(None, "schlussel")
