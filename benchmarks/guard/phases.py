"""What the server is asked to do, and for each phase by what its counts are divided."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.guard.client import Publisher, Stopped, Subscriber, wait_for
from benchmarks.guard.counters import BYTES, INSTRUCTIONS, SYSTEM_CALLS, Counter, Counts

SUBSCRIBERS = {"sse": 200, "websocket": 100}
EVENTS = 20
WINDOW = 32
WINDOWS = 10
REQUESTS = 400
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase.

    Attributes:
        title: In the sentence about it: "daphne: TITLE: 1.05 system calls".
        units: How many of what the title names were done.
        measures: What is compared.
        counts: What was counted, whole.
    """

    title: str
    units: int
    measures: tuple[str, ...]
    counts: Counts

    def per_unit(self) -> Counts:
        """Return each measure of this phase that was counted, for one unit."""
        return {name: round(self.counts[name] / self.units, 4) for name in self.measures if name in self.counts}


_BOTH = (SYSTEM_CALLS, INSTRUCTIONS)


def run(address: tuple[str, int], key: str, pid: int, counter: Counter) -> Iterator[Phase]:
    """Do all phases on one server.

    Args:
        address: Of the server.
        key: Its API key.
        pid: Its process.
        counter: Counts while each phase runs.

    Raises:
        Wrong: An event was lost, repeated, out of order or altered, or an answer is not as it must be.
    """
    publisher = Publisher(address, key)
    names = {"sse": "SSE", "websocket": "WebSocket"}
    groups: dict[str, list[Subscriber]] = {}
    for transport, count in SUBSCRIBERS.items():
        # The first connections of a server pay for what is made once.
        spare = [Subscriber(address, f"first-{transport}", transport) for _ in range(WARM_UP)]
        with counter.counting() as counts:
            groups[transport] = [Subscriber(address, transport, transport) for _ in range(count)]
        yield Phase(f"opening one {names[transport]} connection", count, (*_BOTH, BYTES), counts)
        groups["first"] = [*groups.get("first", []), *spare]

    for transport, members in groups.items():
        if transport == "first":
            continue
        _publish_in_turn(publisher, transport, members, range(WARM_UP))
        with counter.counting() as counts:
            _publish_in_turn(publisher, transport, members, range(EVENTS))
        title = f"one delivery to one of {len(members)} {names[transport]} connections, one event at a time"
        yield Phase(title, EVENTS * len(members), _BOTH, counts)

    publishers = [Publisher(address, key) for _ in range(WINDOW)]
    members = groups["sse"]
    _publish_together(publishers, pid, "sse", members)
    with counter.counting() as counts:
        for _ in range(WINDOWS):
            _publish_together(publishers, pid, "sse", members)
    title = f"one delivery to one of {len(members)} SSE connections, {WINDOW} events in flight"
    yield Phase(title, WINDOWS * WINDOW * len(members), _BOTH, counts)

    alone = [Subscriber(address, "alone", "sse")]
    _publish_in_turn(publisher, "alone", alone, range(WARM_UP))
    with counter.counting() as counts:
        _publish_in_turn(publisher, "alone", alone, range(REQUESTS))
    yield Phase("one publish to one subscriber", REQUESTS, _BOTH, counts)

    _drop(publisher, WARM_UP)
    with counter.counting() as counts:
        _drop(publisher, REQUESTS)
    yield Phase("one dropped publish", REQUESTS, _BOTH, counts)


def _publish_in_turn(publisher: Publisher, topic: str, members: list[Subscriber], numbers: range) -> None:
    for number in numbers:
        publisher.send(topic, number)
        publisher.answer(200)
        wait_for(members, [number])


def _publish_together(publishers: list[Publisher], pid: int, topic: str, members: list[Subscriber]) -> None:
    # All of them are there when the server wakes up: how many it joins must not depend on who is faster.
    with Stopped(pid):
        for number, publisher in enumerate(publishers):
            publisher.send(topic, number)
    for publisher in publishers:
        publisher.answer(200)
    wait_for(members, list(range(len(publishers))))


def _drop(publisher: Publisher, count: int) -> None:
    for number in range(count):
        publisher.send("nobody", number)
        publisher.answer(204)
