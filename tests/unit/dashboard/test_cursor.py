from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.cursor import Cursor, InvalidCursor

TOPICS = Cursor("topics")


@given(st.text())
def test_a_signed_position_is_read_back(position: str) -> None:
    assert TOPICS.read(TOPICS.sign(position)) == position


def test_a_cursor_needs_no_percent_encoding() -> None:
    assert all(character.isalnum() or character in "-._~" for character in TOPICS.sign("ä/?&=+ %"))


@given(st.text())
def test_what_was_not_signed_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        TOPICS.read(text)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidCursor, match="list of topics"):
        TOPICS.read(Cursor("connections").sign("1"))


@pytest.mark.parametrize("change", [lambda cursor: cursor[:-1], lambda cursor: "A" + cursor, str.swapcase, str.upper])
def test_a_changed_cursor_is_refused(change: Callable[[str], str]) -> None:
    with pytest.raises(InvalidCursor):
        TOPICS.read(change(TOPICS.sign("news")))
