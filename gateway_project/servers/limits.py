"""Limits that every server we extend keeps, so that a client sees the same bounds whichever one answers."""

HEADER_TIMEOUT_SECONDS = 10.0
"""From the first byte of a request to the end of its header section, unless `install` is told otherwise."""

MAX_HEADER_BYTES = 65_536
"""Request line and header section together; past it 431 (RFC 6585 §5)."""

READ_BUFFER_BYTES = 65_536
"""Bytes held for an application that does not read its body or messages; past it the socket waits."""

WRITE_BUFFER_BYTES = 65_536
"""Bytes held for a socket past which ASGI's `send` waits."""

UNREAD_BODY_DRAIN_BYTES = 1_048_576
"""An unread body of at most this known length is discarded and the connection kept; past it, closed."""

LINGER_IDLE_SECONDS = 1.0
"""A closing connection is read on, lest a reset overtake the answer, until nothing came for so long ..."""

LINGER_TOTAL_SECONDS = 10.0
"""... and at most for so long in all."""

MAX_CLOSE_WAIT_SECONDS = 2.0
"""How long an ended stream may take to get its last bytes into the socket before it is reset."""

LISTEN_BACKLOG = 4096
"""Connections that the kernel holds until they are accepted: enough for 5,000 clients that come at once."""

MAX_PIPELINED_BYTES = 16_384
"""Bytes of further requests held while one is being answered; past it the socket waits."""
