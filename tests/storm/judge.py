"""What a storm must hold to: each client saw what was published to its topics, once, in one order, and no gap."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

_NUMBERED = re.compile(r"(?P<publisher>.+)-(?P<number>\d+)")


@dataclass(slots=True)
class Publication:
    """One event, however often it was sent.

    Args:
        id: of the event, `PUBLISHER-NUMBER`.
        topics: that it was published to.
        accepted: whether it was answered 200 in the end. When not, nobody knows whether it was taken: then all see it
            or nobody.
    """

    id: str
    topics: tuple[str, ...]
    accepted: bool = False


@dataclass(slots=True)
class Record:
    """All that one client saw, over all its connections.

    Args:
        name: for the findings.
        topics: that it holds.
        seen: ids in the order in which they came.
        faults: what it met that no client should meet, gaps among it.
    """

    name: str
    topics: frozenset[str]
    seen: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was broken."""

    what: str
    detail: str


def judge(publications: Iterable[Publication], records: Sequence[Record]) -> list[Finding]:
    """Every promise that was broken."""
    published = {publication.id: publication for publication in publications}
    findings: list[Finding] = []
    for record in records:
        findings += [Finding("fault", f"{record.name}: {fault}") for fault in record.faults]
        findings += _complete(record, published)
        findings += _in_publishers_order(record)
    findings += _all_or_nobody(records, published)
    findings += _in_one_order(records)
    return findings


def _complete(record: Record, published: Mapping[str, Publication]) -> Iterable[Finding]:
    counts = Counter(record.seen)
    for publication in published.values():
        if publication.accepted and record.topics.intersection(publication.topics) and publication.id not in counts:
            yield Finding("missing", f"{record.name}: {publication.id} of {', '.join(publication.topics)}")
    for event, count in counts.items():
        if count > 1:
            places = [place for place, seen in enumerate(record.seen) if seen == event]
            yield Finding("repeat", f"{record.name}: {event} came {count} times, at {places}")
        if event not in published or not record.topics.intersection(published[event].topics):
            yield Finding("stranger", f"{record.name}: {event} is of none of its topics")


def _in_publishers_order(record: Record) -> Iterable[Finding]:
    # A publisher sends the next event only when the one before is answered.
    last: dict[str, int] = {}
    for event in record.seen:
        if (match := _NUMBERED.fullmatch(event)) is None:
            continue
        publisher, number = match["publisher"], int(match["number"])
        if number < last.get(publisher, 0):
            yield Finding("order", f"{record.name}: {event} came after {publisher}-{last[publisher]}")
        last[publisher] = max(number, last.get(publisher, 0))


def _all_or_nobody(records: Sequence[Record], published: Mapping[str, Publication]) -> Iterable[Finding]:
    for publication in published.values():
        if publication.accepted:
            continue
        holders = [record for record in records if record.topics.intersection(publication.topics)]
        saw = sum(publication.id in set(record.seen) for record in holders)
        if saw not in {0, len(holders)}:
            yield Finding("split", f"{publication.id} was not answered, and {saw} of {len(holders)} clients saw it")


def _in_one_order(records: Sequence[Record]) -> Iterable[Finding]:
    # There is one order for all if what each saw fits together without a circle. Repeats are told above.
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for record in records:
        for before, after in itertools.pairwise(dict.fromkeys(record.seen)):
            sorter.add(after, before)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        yield Finding("order", f"the clients saw different orders: {' < '.join(circle[:8])} ({len(circle)} in all)")
