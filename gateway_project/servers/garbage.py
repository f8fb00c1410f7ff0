"""The cyclic garbage collector, set for a process that holds many connections."""

import gc


def spare_what_stays() -> None:
    """Take all that has been loaded out of the collector's sight.

    It ran through all of Django again and again while connections came: a third of the cost of accepting one. Its
    thresholds stay as they are: WebSockets that ended under Daphne are cycles (Twisted's and Autobahn's) and wait for
    it. Other connections are freed when they end.
    """
    gc.collect()
    gc.freeze()
