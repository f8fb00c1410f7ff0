"""The cyclic garbage collector, set for a process that holds many connections."""

import gc

RARELY = (10_000, 20, 50)
"""Thresholds where nothing that ends is a cycle: at Python's own, one look at 5,000 connections held the loop 0.1 s."""


def spare_what_stays(*, rarely: bool) -> None:
    """Take all that has been loaded out of the collector's sight.

    It ran through all of Django again and again while connections came: a third of the cost of accepting one.

    Args:
        rarely: Have it look at the rest rarely. Not under Daphne: there WebSockets that ended are cycles (Twisted's and
            Autobahn's), and the memory of 10,000 clients that came and went grew by a tenth.
    """
    gc.collect()
    gc.freeze()
    if rarely:
        gc.set_threshold(*RARELY)
