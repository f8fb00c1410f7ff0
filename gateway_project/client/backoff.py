"""How long to wait before trying again."""

import random
from collections.abc import Callable

FLOOR = 0.1
"""Seconds. Whoever is told to come back at once (`retry: 0`) still does not spin."""


class Backoff:
    """Delays that double with every failure in a row, up to a cap, each shortened at random.

    Clients that lost one gateway at one moment must not come back at one moment: hence the jitter, which
    takes up to half of each delay.

    Args:
        base: seconds to wait after the first failure, before the jitter.
        cap: seconds that the doubling stops at. A longer base stays as it is.
        uniform: gives a number between two; `random.uniform`.
    """

    def __init__(self, base: float, cap: float, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self.base = base
        self.cap = cap
        self._uniform = uniform
        self._failures = 0

    def reset(self) -> None:
        """It worked: the next failure is a first one."""
        self._failures = 0

    def delay(self, at_least: float | None = None) -> float:
        """Seconds to wait after another failure.

        Args:
            at_least: seconds that the other side asked for, which are kept.
        """
        base = max(self.base, FLOOR)
        # The exponent is bounded because 2.0**1024 is an error, and a gateway may be away for days.
        longest = max(base, min(self.cap, base * 2.0 ** min(self._failures, 32)))
        self._failures += 1
        return max(self._uniform(longest / 2, longest), at_least or 0.0)
