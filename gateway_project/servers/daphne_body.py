"""A request's body on its way to the application."""

from typing import Any

from gateway_project.servers.limits import READ_BUFFER_BYTES


class RequestBody:
    """Parts of a body, held until the application asks for them; never on disk.

    Args:
        length: Bytes in all, None when the body is chunked.

    Attributes:
        complete: Whether all of it is in.
        remaining: Bytes that are not in yet, None when nobody knows.
    """

    __slots__ = ("_delivered", "_discarding", "_held", "_parts", "complete", "remaining")

    def __init__(self, length: int | None) -> None:
        self.complete = length == 0
        self.remaining = length
        self._parts: list[bytes] = []
        self._held = 0
        self._delivered = False
        self._discarding = False

    def feed(self, data: bytes) -> bool:
        """Take a part.

        Returns:
            Whether there is room for more before the application has taken what is held.
        """
        if self.remaining is not None:
            self.remaining -= len(data)
        if self._discarding or not data:
            return True
        self._parts.append(data)
        self._held += len(data)
        return self._held <= READ_BUFFER_BYTES

    @property
    def ready(self) -> bool:
        """Whether there is a message for the application: some of the body, or its end."""
        return bool(self._parts) or (self.complete and not self._delivered)

    def take(self) -> dict[str, Any]:
        """Return what is held as a message `http.request`."""
        body = b"".join(self._parts)
        self._parts = []
        self._held = 0
        self._delivered = self.complete
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    def discard(self) -> None:
        """Hold nothing, now and from now on."""
        self._discarding = True
        self._parts = []
        self._held = 0
