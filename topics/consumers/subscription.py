"""What a subscriber asks for, read from a scope. Shared by SSE and WebSocket."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from topics.asgi import Scope
from topics.clients import client_address
from topics.conf import GatewaySettings
from topics.events import check_id, parse_topics
from topics.exceptions import InvalidInput, InvalidTopic


class InvalidQuery(InvalidInput):
    """A query parameter that is malformed."""

    slug = "invalid-query"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscriber's request.

    Attributes:
        topics: At least one.
        form: Value of `format`, None when not given.
        last_id: Id of the last event that the client has, None when it comes for the first time.
        client: The client's address, empty when unknown.
        user_agent: What it says it is.
        origin: The page's origin, None when there is no page.
    """

    topics: tuple[str, ...]
    form: str | None
    last_id: str | None
    client: str
    user_agent: str
    origin: bytes | None


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return a request header's values in order; `name` in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request header's first value."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def read_query(scope: Scope) -> list[tuple[str, str]]:
    """Return the query's parameters in order, decoded.

    Raises:
        InvalidQuery: It is not ASCII, or what it encodes is not UTF-8.
    """
    try:
        query = scope["query_string"].decode("ascii")
    except UnicodeDecodeError:
        raise InvalidQuery("The query is not ASCII; percent-encode its characters as UTF-8.") from None
    parameters = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    for name, value in parameters:
        # What is not UTF-8 has become surrogates, which UTF-8 cannot encode.
        try:
            (name + value).encode()
        except UnicodeEncodeError:
            raise InvalidQuery(
                f"The query parameter {name[:32]!a} is not UTF-8; percent-encode its characters as UTF-8."
            ) from None
    return parameters


def read_subscription(
    scope: Scope, settings: GatewaySettings, formats: Iterable[str], also: Iterable[str] = ()
) -> Subscription:
    """Read topics, format, where the client stands, and its identity.

    Args:
        scope: ASGI's, of type http or websocket.
        settings: For the limits.
        formats: Values of `format` that this endpoint knows.
        also: Topics that the request names in a way of its own.

    Raises:
        InvalidInput: Which field is wrong, and what to do.
    """
    query = read_query(scope)
    from_header = [value.decode("latin-1") for value in header_values(scope, b"x-sse-topic")]
    from_query = [value for name, value in query if name == "topic"]
    limit = settings.max_topics
    topics = dict.fromkeys(also)
    topics |= dict.fromkeys(parse_topics(from_header, limit=limit, where="x-sse-topic"))
    topics |= dict.fromkeys(parse_topics(from_query, limit=limit, where="The query parameter topic"))
    if not topics:
        raise InvalidTopic("No topic is given; send the header x-sse-topic or the query parameter topic.")
    if len(topics) > limit:
        raise InvalidTopic(f"Header and query together hold more than {limit} topics; send at most {limit}.")
    form = next((value for name, value in query if name == "format"), None)
    if form is not None and form not in formats:
        raise InvalidQuery(f"format must be {' or '.join(formats)}, or be left out.")
    peer = scope.get("client")
    return Subscription(
        topics=tuple(topics),
        form=form,
        last_id=_last_id(scope, query),
        client=client_address(
            peer[0] if peer else None, header_values(scope, b"x-forwarded-for"), settings.trusted_proxies
        ),
        user_agent=(header(scope, b"user-agent") or b"").decode("latin-1"),
        origin=header(scope, b"origin"),
    )


def _last_id(scope: Scope, query: Iterable[tuple[str, str]]) -> str | None:
    # The header wins: a browser's EventSource comes back with the URL that its page gave it, query and all.
    from_header = header(scope, b"last-event-id")
    if from_header:
        return check_id(from_header.decode("latin-1"), where="last-event-id")
    from_query = next((value for name, value in query if name == "last_event_id"), "")
    return check_id(from_query, where="The query parameter last_event_id") if from_query else None
