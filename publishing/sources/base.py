"""What a message source is, and what it is given. Anyone can write one in one file (docs/how-to/sources/custom.md)."""

import enum
from collections.abc import Iterable
from typing import Literal, Protocol, runtime_checkable

from topics.exceptions import GatewayError

Guarantee = Literal["at-most-once", "at-least-once"]
"""Whether a message can be lost between its server and the gateway, or can come again."""

RunsOn = Literal["one-node", "every-node"]
"""`one-node`: of several nodes one runs it, the others stand by. `every-node`: its server shares messages out."""


class Misconfigured(GatewayError):
    """A source that cannot be run as it is set up; the gateway does not start.

    Args:
        detail: What is wrong and what to set, one sentence.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Unreachable(GatewayError):
    """A source's server cannot be used now; it is tried again.

    Args:
        detail: Why, one sentence, with neither password nor data.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Outcome(enum.Enum):
    """What became of a message. Whichever it is, the message is dealt with and may be acknowledged."""

    PUBLISHED = "published"
    DROPPED = "dropped"
    """Nobody is connected to its topics."""
    DEAD = "dead"
    """It is no event that the gateway can take, or failed each time; logged and counted."""


class Publish(Protocol):
    """What a source publishes with."""

    async def __call__(
        self,
        topics: Iterable[str],
        data: str,
        *,
        id: str | None = None,
        event: str | None = None,
        retry: int | None = None,
    ) -> Outcome:
        """Publish one event, in the order of the calls.

        It waits while the placement store is away, and tries what fails otherwise `GATEWAY_SOURCE_ATTEMPTS` times.

        Args:
            topics: Where to.
            data: The text.
            id: Unique, and the same each time that the message comes; without one it gets a random one.
            event: Event type, None for `message`.
            retry: Reconnect time for the clients that get it, in milliseconds.
        """

    def dead(self, reason: str, *, id: str | None = None) -> Outcome:
        """Record a message that is no event.

        Args:
            reason: What is wrong with it, without its content.
            id: What its server calls it.
        """

    def connected(self) -> None:
        """Say that messages can come now."""


@runtime_checkable
class Source(Protocol):
    """Where messages come from. Made with the gateway's settings as its one argument.

    Attributes:
        name: Unique among the sources of `GATEWAY_SOURCES`; for people, logs and metrics.
        guarantee: What is promised between its server and the gateway.
        runs_on: One node at a time, or every node.
    """

    name: str
    guarantee: Guarantee
    runs_on: RunsOn

    def validate(self) -> None:
        """Check the settings and that what is needed is installed; nothing is connected yet.

        Raises:
            Misconfigured: The gateway cannot start so.
        """

    async def run(self, publish: Publish) -> None:
        """Connect, and publish what comes until cancelled.

        What it raises is logged, and it is run again after a while. Returning says that there is nothing more to come.
        """

    async def close(self) -> None:
        """Give back what outlives `run`; called once, when the gateway ends."""
