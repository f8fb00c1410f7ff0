"""How fast counters grow."""

import time
from collections import deque
from collections.abc import Callable, Mapping

RATE_SECONDS = 10
"""Length of the window that rates are taken over."""


class Rates:
    """Counters per second, over the last seconds.

    Args:
        counters: Gives the totals as they are now, always under the same names.
    """

    def __init__(self, counters: Callable[[], Mapping[str, int]]) -> None:
        self._counters = counters
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=RATE_SECONDS + 1)

    def sample(self) -> None:
        """Take note of the totals; to be called once a second."""
        self._samples.append((time.monotonic(), dict(self._counters())))

    def per_second(self) -> dict[str, float]:
        """Return each counter's growth in a second."""
        now, counters = time.monotonic(), dict(self._counters())
        then, before = self._samples[0] if self._samples else (now, counters)
        elapsed = now - then
        return {name: (counters[name] - before[name]) / elapsed if elapsed > 0 else 0.0 for name in counters}
