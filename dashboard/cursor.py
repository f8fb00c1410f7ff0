"""Cursors: where the next page of a list begins, signed, so that only the gateway's own are taken."""

from dataclasses import dataclass

from django.core import signing

from topics.exceptions import InvalidInput


class InvalidCursor(InvalidInput):
    """A cursor that the gateway did not give, or gave for another list."""

    slug = "invalid-cursor"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The cursors of one list.

    They carry no time and no node: as long as the API keys stay, every node takes them.

    Attributes:
        name: The list's name; a cursor of one list is none of another.
    """

    name: str

    def sign(self, position: str) -> str:
        """Return the cursor for a position, as `Placement` gives it in `Page.next`."""
        return self._signer().sign_object(position)

    def read(self, cursor: str) -> str:
        """Return the position that a cursor stands for.

        Raises:
            InvalidCursor: The gateway did not give it for this list.
        """
        try:
            position = self._signer().unsign_object(cursor)
        except signing.BadSignature:
            detail = f"cursor is not one of the list of {self.name}; send a 'next' of this list, or none to begin."
            raise InvalidCursor(detail) from None
        return str(position)

    def _signer(self) -> signing.Signer:
        # `~` needs no percent-encoding in a query (RFC 3986 §2.3), where the usual `:` is encoded by many clients.
        return signing.Signer(salt=f"cursor.{self.name}", sep="~")
