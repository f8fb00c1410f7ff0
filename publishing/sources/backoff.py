"""How long to wait before the next try."""

import random


class Backoff:
    """Waits that double up to a limit, each shortened at random so that many who wait do not come back at once.

    Args:
        first: Longest first wait, in seconds.
        longest: Longest wait at all, in seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def next(self) -> float:
        """Return the next wait, in seconds: half of its limit at least."""
        limit: float = min(self._longest, self._first * 2**self._tries)
        # Past some point doubling changes nothing but the number's length.
        self._tries = min(self._tries + 1, 32)
        return limit * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Begin again with the first wait."""
        self._tries = 0
