"""The cyclic garbage collector, set for a process that holds many connections."""

import gc

THRESHOLDS = (5_000, 5, 5)
"""Allocations before a young collection, and collections of one generation before the next.

With the default of 700 it ran through all that Django has loaded again and again while connections came: a third of
the cost of accepting one. Connections that ended are cycles (connection, outbox, writer) and wait for it: with 100,000
the memory of 10,000 that came and went grew by a sixth.
"""


def spare_what_stays() -> None:
    """Take all that has been loaded out of the collector's sight, and have it look more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
