"""What a client is told when a schema refuses its JSON or its query. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MOST_TOLD = 3
_LONGEST_NAME = 64

_ADVICE = {
    "missing": "is missing; send it",
    "extra_forbidden": "is not known; leave it out",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
}


def describe(errors: Iterable[Mapping[str, Any]], *, whole: str, part: str = "field") -> str:
    """Say which fields are wrong and what to do.

    Args:
        errors: As pydantic reports them, with `loc` relative to the object that the client sent.
        whole: What to call that object itself, for example `The body`.
        part: What to call one of its fields.

    Returns:
        One sentence for each of the first errors, safe to show to the client: it repeats names, never values.
    """
    told = list(errors)
    sentences = [f"{_name(error['loc'], whole, part)} {_advice(error)}." for error in told[:_MOST_TOLD]]
    if len(told) > _MOST_TOLD:
        sentences.append(f"There are {len(told) - _MOST_TOLD} more errors.")
    return " ".join(sentences)


def _name(location: Sequence[int | str], whole: str, part: str) -> str:
    if not location:
        return whole
    name = ".".join(str(step) for step in location)
    if len(name) > _LONGEST_NAME:
        name = name[:_LONGEST_NAME] + "…"
    return f"The {part} {name!a}"


def _advice(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    if kind == "too_long":
        return f"holds too many items; send at most {error['ctx']['max_length']}"
    known = _ADVICE.get(kind)
    if known is not None:
        return known
    message = str(error.get("msg", "is malformed")).removeprefix("Value error, ").rstrip(".")
    return f"is malformed: {message[0].lower()}{message[1:]}"
