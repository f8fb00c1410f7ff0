"""What the lease asks of the placement around it."""

from typing import Any, Protocol


class Registrar(Protocol):
    """The placement, as its lease sees it."""

    def describe(self) -> dict[str, Any]:
        """Return `channel`, `draining`, `counters` and `rates` as they are now."""

    async def enroll(self, *, missed: bool) -> None:
        """Register everything that this node holds under the present session, and hear from each of its topics.

        Args:
            missed: Other nodes may have answered without this one: its connections must be told, by `tell`.
        """

    async def reopen(self, *, missed: bool) -> None:
        """Subscribe to everything again.

        Args:
            missed: Not the same Redis as before: what it numbers says nothing about what that one had published, and
                connections must be told before the first event that it sends, or by `tell`.
        """

    def tell(self) -> None:
        """Tell the connections what they missed: all nodes have registered."""

    async def greet(self, channel: str) -> None:
        """Tell a node to look at the table."""
