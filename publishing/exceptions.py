"""What the JSON publishing API refuses beyond `topics.exceptions`.

InvalidInput
├── InvalidBody  an event whose JSON has not the shape of one
└── TooLarge     event data over `GATEWAY_MAX_EVENT_BYTES`
"""

from topics.exceptions import InvalidInput, PlacementUnavailable, Refused
from topics.problems import Problem, from_exception


class InvalidBody(InvalidInput):
    """An event whose JSON has not the shape of one."""

    slug = "invalid-body"


class TooLarge(InvalidInput):
    """Event data over `GATEWAY_MAX_EVENT_BYTES`."""

    slug = "too-large"


def problem(error: InvalidInput | Refused | PlacementUnavailable) -> Problem:
    """Return the problem that an exception of the gateway, those of this module included, means to a client."""
    if isinstance(error, TooLarge):
        return Problem(413, error.slug, error.detail)
    return from_exception(error)
