"""The cyclic garbage collector, set for a process that holds many connections."""

import gc


def spare_what_stays() -> None:
    """Take all that has been loaded out of the collector's sight.

    It ran through all of Django again and again while connections came: a third of the cost of accepting one. Its
    thresholds stay as they are: connections that ended are cycles (connection, outbox, writer) and wait for it, and
    with a hundred times the threshold the memory of 10,000 that came and went grew by a sixth.
    """
    gc.collect()
    gc.freeze()
