"""Keeps a run within some minutes: floor, Nchan and gateway run in every round, other peers while there is time."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers import GATEWAYS, REFERENCES

ALWAYS = (*REFERENCES, *GATEWAYS)


class Budget:
    """How much time is left.

    Args:
        minutes: That the whole run may take; None is no limit.
        rows: As the results hold them: the rounds of each row so far.
        rounds: That are wanted of each row.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        minutes: float | None,
        rows: dict[str, list[dict[str, Any]]],
        rounds: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows, self._rounds, self._clock = rows, rounds, clock
        self._end = None if minutes is None else clock() + minutes * 60

    def runners(self, row_name: str, names: list[str]) -> list[str]:
        """Return those that run now in a row: all, or only those that always run.

        Every peer runs in the first round, whatever it takes.
        """
        if self._end is None or not self._rows[row_name]:
            return names
        others = sum(self._seconds(row_name, name) for name in names if name not in ALWAYS)
        reserved = sum(
            (self._rounds - len(rounds)) * sum(self._seconds(name, each) for each in ALWAYS)
            for name, rounds in self._rows.items()
        )
        if self._clock() + others + reserved <= self._end:
            return names
        return [name for name in names if name in ALWAYS]

    def _seconds(self, row_name: str, peer: str) -> float:
        """Return what a run of a peer took, the longest so far; 0 while that is not known."""
        found = [each[peer].get("whole_run_seconds", 0.0) for each in self._rows[row_name] if peer in each]
        return max(found, default=0.0)
