"""Settings that are lists, separated by commas."""

from typing import Annotated

from pydantic import BeforeValidator


def split(value: object) -> object:
    """Return the items of a text, without the spaces around them; anything else as it is."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(split)]
