"""The query of a list: what every list of the admin API takes, and what it refuses."""

import re
from collections import Counter
from collections.abc import Collection
from typing import Annotated, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from ninja import Query
from pydantic import BeforeValidator

from topics.consumers.subscription import InvalidQuery, read_query
from topics.placement.base import MAX_PAGE

DEFAULT_LIMIT = 100
"""Items of a page when the client does not say."""


def _digits(value: object) -> object:
    # pydantic reads "1_0" and " 10 " as ten; a client that sends these has a fault worth knowing.
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        raise ValueError(f"it must be a whole number from 1 to {MAX_PAGE}")
    return value


Limit = Annotated[
    int,
    BeforeValidator(_digits),
    Query(DEFAULT_LIMIT, ge=1, le=MAX_PAGE, description="Most items in the answer."),
]
CursorParameter = Annotated[
    str | None, Query(None, description="The `next` of the page before; left out for the first page.")
]


def check(request: HttpRequest, known: Collection[str]) -> None:
    """Refuse a query that would otherwise be read as something else than the client meant.

    Args:
        request: The request, as Django got it from ASGI.
        known: Names of the parameters that this path takes.

    Raises:
        InvalidQuery: It is not UTF-8, or holds an unknown name, or one name twice.
    """
    given = Counter(name for name, _ in read_query(dict(cast(ASGIRequest, request).scope)))
    for name, count in given.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InvalidQuery(f"The query holds an unknown parameter; this path takes {listed}.")
        if count > 1:
            raise InvalidQuery(f"{name} is given more than once; give it once.")
