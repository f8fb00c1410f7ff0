"""Who waits for turns of the event loop: while somebody does, the fan-out takes shorter ones.

A stream or a publish needs a turn or two. What goes through Django needs a dozen, and behind each the fan-out would
take its full share.
"""

from collections.abc import Iterator
from contextlib import contextmanager

waited_for = 0
"""Requests under way that need many turns."""


@contextmanager
def many_needed() -> Iterator[None]:
    """Have the fan-out give way more often until the block ends."""
    global waited_for  # noqa: PLW0603 - one event loop a process, and one number for it
    waited_for += 1
    try:
        yield
    finally:
        waited_for -= 1
