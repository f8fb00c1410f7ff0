"""Which URLs name a Redis, and what they say."""

import pytest

from topics.placement.redis.address import parse_address


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://host", 0),
        ("redis://user:secret@host:6380/3", 3),
        ("rediss://host/2", 2),
        ("redis://host/1?db=4", 4),
        ("unix:///run/redis.sock", 0),
        ("unix:///run/redis.sock?db=5", 5),
    ],
)
def test_one_server(url: str, database: int) -> None:
    address = parse_address(url)
    assert (address.database, address.sentinels) == (database, ())


def test_sentinels() -> None:
    address = parse_address("redis+sentinel://user:p%40ss@one:1,two,[::1]:3/name/7")
    assert address.sentinels == (("one", 1), ("two", 26379), ("::1", 3))
    assert (address.master, address.database) == ("name", 7)
    assert dict(address.options) == {"username": "user", "password": "p@ss"}
    assert dict(parse_address("rediss+sentinel://one/name").options) == {"ssl": True}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://host", "must begin with"),
        ("host:6379", "must begin with"),
        ("redis://host/name", "number of a database"),
        ("redis://host:port/0", "[Pp]ort"),
        ("redis+sentinel://one:26379", "master's name"),
        ("redis+sentinel://one:x/name", "host:port"),
        ("redis+sentinel://one/name/x", "number of a database"),
    ],
)
def test_what_is_wrong_is_said(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_address(url)
