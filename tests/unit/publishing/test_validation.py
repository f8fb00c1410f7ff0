from typing import Any

from publishing.validation import describe


def error(*location: str | int, kind: str = "missing", **more: Any) -> dict[str, Any]:
    return {"loc": location, "type": kind, **more}


def test_a_field_is_named_with_its_place() -> None:
    assert describe([error("topics", 3, kind="string_type")], whole="The body") == (
        "The field 'topics.3' must be a string."
    )


def test_without_a_place_the_whole_is_named() -> None:
    assert describe([error()], whole="The body") == "The body is missing; send it."


def test_three_errors_are_told_and_the_rest_counted() -> None:
    told = describe([error(name) for name in "abcde"], whole="The body")
    assert told == (
        "The field 'a' is missing; send it. The field 'b' is missing; send it. "
        "The field 'c' is missing; send it. There are 2 more errors."
    )


def test_a_hostile_name_is_cut_and_escaped() -> None:
    told = describe([error("\ud800\r\n" + "x" * 10_000, kind="extra_forbidden")], whole="The body")
    assert told.isascii()
    assert "\n" not in told
    assert len(told) < 200


def test_an_unforeseen_error_is_told_in_pydantics_words() -> None:
    told = describe([error("a", kind="something_new", msg="Value error, It is odd.")], whole="The body")
    assert told == "The field 'a' is malformed: it is odd."
