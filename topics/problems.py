"""What a client is told when a request fails: problem details (RFC 9457). Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from topics.exceptions import InvalidInput, PlacementUnavailable, Refused

CONTENT_TYPE = "application/problem+json"
"""Media type of a problem (RFC 9457 §6.1)."""

SLUGS: Mapping[str, str] = MappingProxyType(
    {
        "draining": "This node is shutting down",
        "header-too-large": "The request's headers are too large",
        "internal-error": "The gateway failed",
        "invalid-body": "The body is malformed",
        "invalid-cursor": "The cursor is not one of this list",
        "invalid-event-type": "The event type is malformed or reserved",
        "invalid-id": "The event id is malformed",
        "invalid-query": "A query parameter is malformed",
        "invalid-request": "The request is malformed",
        "invalid-retry": "The retry is malformed",
        "invalid-topic": "The topic list is malformed",
        "method-not-allowed": "The method is not allowed here",
        "missing-header": "A required header is missing",
        "not-found": "There is nothing here",
        "origin-not-allowed": "This origin is not allowed",
        "timeout": "The request took too long",
        "too-large": "The request is too large",
        "too-many-connections": "There are too many connections",
        "unauthorized": "The API key is missing or wrong",
        "unavailable": "The gateway cannot answer truthfully now",
        "upgrade-required": "This is a WebSocket",
    }
)
"""Every problem type that the gateway answers with, and its title."""

_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One failed request, as the client is told.

    Attributes:
        status: HTTP status code.
        slug: Last part of the problem type, a key of `SLUGS`.
        detail: What is wrong with this request and what to do; never a secret, never a traceback.
        headers: Further response headers: lower-case names, ASCII values.

    Raises:
        ValueError: `slug` is not in `SLUGS`.
    """

    status: int
    slug: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.slug not in SLUGS:
            raise ValueError(f"{self.slug!r} is not a problem type; SLUGS lists them.")

    @property
    def type(self) -> str:
        """The problem type: a reference relative to the gateway's address (RFC 9457 §3.1.1)."""
        return f"/problems/{self.slug}"

    @property
    def title(self) -> str:
        """What all problems of this type have in common."""
        return SLUGS[self.slug]

    def as_dict(self) -> dict[str, str | int]:
        """Return the members of the problem details object (RFC 9457 §3.1)."""
        return {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}

    def body(self) -> bytes:
        """Return the response's body: JSON in ASCII, since a detail may repeat what UTF-8 cannot carry."""
        return json.dumps(self.as_dict()).encode("ascii")

    def asgi_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the response's headers as ASGI wants them, `content-length` included."""
        return [
            (b"content-type", CONTENT_TYPE.encode("ascii")),
            (b"content-length", str(len(self.body())).encode("ascii")),
            (b"cache-control", b"no-store"),
            *((name.encode("ascii"), value.encode("ascii")) for name, value in self.headers),
        ]


INTERNAL = Problem(500, "internal-error", "The gateway failed; its log says why. Try again.")
"""The answer when the fault is the gateway's own."""


def unauthorized() -> Problem:
    """Return the one answer to a missing or wrong key: it tells nothing else (RFC 6750 §3)."""
    detail = "Send an API key as 'authorization: Bearer KEY' or 'x-api-key: KEY'."
    return Problem(401, "unauthorized", detail, (("www-authenticate", "Bearer"),))


def method_not_allowed(method: str, allow: str) -> Problem:
    """Return the answer to a method that a path does not know (RFC 9110 §15.5.6).

    Args:
        method: As the client sent it.
        allow: The methods that the path knows, separated by commas.
    """
    # A method is a token of any length: repeat only what a person would have typed.
    name = method if method.isascii() and method.isalpha() and len(method) <= 16 else "This method"
    return Problem(405, "method-not-allowed", f"{name} is not allowed here; use {allow}.", (("allow", allow),))


def from_exception(error: InvalidInput | Refused | PlacementUnavailable) -> Problem:
    """Return the problem that an exception of the gateway means to a client."""
    if isinstance(error, InvalidInput):
        return Problem(400, error.slug, error.detail)
    if isinstance(error, Refused):
        return Problem(error.status, error.slug, error.detail, (("retry-after", str(error.retry_after)),))
    detail = "The placement store cannot be reached, so nothing true can be said; try again."
    return Problem(503, "unavailable", detail, (("retry-after", str(_RETRY_AFTER_SECONDS)),))
