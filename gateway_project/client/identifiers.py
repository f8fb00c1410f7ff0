"""Event ids for those who bring none."""

import secrets
import time
import uuid


def fresh_id(milliseconds: int | None = None) -> str:
    """A version 7 UUID (RFC 9562 section 5.7): sorts by time, and nobody can guess it.

    Args:
        milliseconds: since 1970 in UTC; now when left out.
    """
    if milliseconds is None:
        milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= secrets.randbits(12) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return str(uuid.UUID(int=value))
