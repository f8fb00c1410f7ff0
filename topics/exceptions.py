"""Every exception that the gateway raises on purpose.

GatewayError
├── InvalidInput            a client sent something malformed; carries field and advice
│   ├── InvalidTopic        a topic list that breaks the rules
│   ├── InvalidId           an event id that breaks the rules
│   ├── InvalidEventType    an event type that breaks the rules or is reserved
│   ├── InvalidRetry        a retry that is not 0 to 86,400,000 milliseconds
│   └── InvalidData         data that UTF-8 cannot carry
├── Refused                 a connection that is well-formed but not taken now
│   ├── Draining            the node is shutting down
│   ├── TooManyConnections  the node is full
│   └── TooManyFromClient   this client address holds too many connections
└── PlacementUnavailable    the placement store cannot be reached: nothing true can be said
"""


class GatewayError(Exception):
    """Base of all of them."""


class InvalidInput(GatewayError, ValueError):
    """Something a client sent is malformed.

    Args:
        detail: What is wrong and what to do, one sentence, safe to show to the client.
    """

    slug = "invalid-request"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidTopic(InvalidInput):
    """A topic list that breaks the rules of contract §1."""

    slug = "invalid-topic"


class InvalidId(InvalidInput):
    """An event id that breaks the rules of contract §1."""

    slug = "invalid-id"


class InvalidEventType(InvalidInput):
    """An event type that breaks the rules, or one that begins with `gateway.`."""

    slug = "invalid-event-type"


class InvalidRetry(InvalidInput):
    """A retry that is not a whole number of milliseconds from 0 to 86,400,000."""

    slug = "invalid-retry"


class InvalidData(InvalidInput):
    """Data that UTF-8 cannot carry."""

    slug = "invalid-body"


class Refused(GatewayError):
    """A well-formed connection that this node does not take now.

    Args:
        detail: Why, one sentence, safe to show to the client.
        retry_after: Seconds after which trying again makes sense.
    """

    slug = "unavailable"
    status = 503

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class Draining(Refused):
    """The node is shutting down."""

    slug = "draining"


class TooManyConnections(Refused):
    """The node holds `GATEWAY_MAX_CONNECTIONS` connections already."""

    slug = "too-many-connections"


class TooManyFromClient(Refused):
    """This client address holds `GATEWAY_MAX_CONNECTIONS_PER_CLIENT` connections already."""

    slug = "too-many-connections"
    status = 429


class PlacementUnavailable(GatewayError):
    """The placement store cannot be reached, so neither 200 nor 204 would be true."""
