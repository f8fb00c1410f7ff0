"""What a run of faults must hold to, judged from what publishers sent and what subscribers saw (contract, section 4).

All times are seconds of one clock, that of the process that publishes and subscribes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter


@dataclass(slots=True)
class Publication:
    """One publish.

    Args:
        id: of its event, unique.
        topics: that it was published to.
        node: that it was sent to.
        sent: just before it was sent.
        answered: when its answer had come; infinite when none came.
        status: of the answer, None when none came.
    """

    id: str
    topics: tuple[str, ...]
    node: str
    sent: float
    answered: float = math.inf
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that a subscriber read.

    Args:
        at: when.
        event: the event's id, None for a gap.
        topic: of the gap.
        missed: of the gap.
    """

    at: float
    event: str | None = None
    topic: str = ""
    missed: int | None = None


@dataclass(slots=True)
class Subscriber:
    """One connection: what it asked for and what it saw, in the order in which it was read.

    Args:
        name: for the findings.
        node: that it is connected to.
        held: each topic with the moments from which on it was promised and until which it was wanted.
        asked: topics that it asked for while it was connected: their events may come before the answer, also before
            one that refuses them.
        ended: when the gateway ended the connection or it was lost, None when the client left.
    """

    name: str
    node: str
    held: dict[str, tuple[float, float]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)
    ended: float | None = None

    def holds(self, publication: Publication) -> list[str]:
        """Topics of *publication* that it held all the time from its sending to its answer."""
        return [
            topic
            for topic in publication.topics
            if topic in self.held
            and self.held[topic][0] <= publication.sent
            and publication.answered <= self.held[topic][1]
        ]

    def leave(self, at: float) -> None:
        """Want nothing from now on."""
        for topic, (since, until) in self.held.items():
            self.held[topic] = since, min(until, at)


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which a node may count as dead, because its lease may have run out."""

    node: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that was broken."""

    what: str
    detail: str


def judge(
    publications: Iterable[Publication],
    subscribers: Sequence[Subscriber],
    *,
    silences: Sequence[Silence] = (),
    never_held: str = "",
) -> list[Finding]:
    """Every broken promise.

    Args:
        publications: all that were sent to these topics.
        subscribers: all that connected.
        silences: when publishes may be answered 204 though a subscriber of that node is connected.
        never_held: a topic that nobody subscribes to: no publish to it alone may be answered 200.
    """
    sent = {publication.id: publication for publication in publications}
    findings: list[Finding] = []
    for subscriber in subscribers:
        findings += _strangers_and_repeats(subscriber, sent)
        findings += _against_time(subscriber, sent)
        findings += _lost(subscriber, sent)
        findings += _false_drops(subscriber, sent, silences)
    findings += _disagreements(subscribers, sent)
    findings += [
        Finding("false 200", f"{each.id} to {each.topics} at {each.sent:.3f}: nobody was connected")
        for each in sent.values()
        if each.status == 200 and each.topics == (never_held,)
    ]
    return findings


def told(subscriber: Subscriber, publication: Publication) -> bool:
    """Whether a gap of a topic of *publication* was told after it was sent."""
    return any(seen.topic in publication.topics and seen.at > publication.sent for seen in subscriber.seen)


def _strangers_and_repeats(subscriber: Subscriber, sent: Mapping[str, Publication]) -> Iterable[Finding]:
    before: set[str] = set()
    meant = set(subscriber.held) | subscriber.asked
    for seen in subscriber.seen:
        if seen.event is None:
            if seen.topic not in meant:
                yield Finding("stranger", f"{subscriber.name} was told a gap of {seen.topic}, which it never held")
            continue
        if seen.event in before:
            yield Finding("repeat", f"{subscriber.name} saw {seen.event} again at {seen.at:.3f}")
        before.add(seen.event)
        publication = sent.get(seen.event)
        if publication is None or not set(publication.topics) & meant:
            yield Finding("stranger", f"{subscriber.name} saw {seen.event}, which was not meant for it")


def _against_time(subscriber: Subscriber, sent: Mapping[str, Publication]) -> Iterable[Finding]:
    """What was answered before another publish was sent comes before it, in each topic."""
    latest: dict[str, Publication] = {}
    for seen in subscriber.seen:
        publication = sent.get(seen.event or "")
        if publication is None:
            continue
        for topic in publication.topics:
            if topic not in subscriber.held:
                continue
            newest = latest.get(topic)
            if newest is not None and publication.status == 200 and publication.answered < newest.sent:
                yield Finding("wrong order", f"{subscriber.name} saw {newest.id} before {publication.id} in {topic}")
            if newest is None or publication.sent > newest.sent:
                latest[topic] = publication


def _disagreements(subscribers: Sequence[Subscriber], sent: Mapping[str, Publication]) -> Iterable[Finding]:
    """All subscribers of a topic see one order: there is a line in which every one's events stand as it saw them."""
    for topic in sorted({topic for subscriber in subscribers for topic in subscriber.held}):
        graph: dict[str, set[str]] = {}
        for subscriber in subscribers:
            if topic not in subscriber.held:
                continue
            # A repeat is another finding.
            events = list(dict.fromkeys(seen.event for seen in subscriber.seen if seen.event is not None))
            events = [event for event in events if event in sent and topic in sent[event].topics]
            for first, second in itertools.pairwise(events):
                graph.setdefault(second, set()).add(first)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            yield Finding("two orders", f"subscribers of {topic} disagree on the order of {error.args[1][:6]}")


def _lost(subscriber: Subscriber, sent: Mapping[str, Publication]) -> Iterable[Finding]:
    """What was answered 200 was seen; or a gap of each of its topics stands where it is missing."""
    places: dict[str, int] = {}
    for place, seen in enumerate(subscriber.seen):
        if seen.event is not None:
            places.setdefault(seen.event, place)
    for publication in sent.values():
        if publication.status != 200 or publication.id in places:
            continue
        for topic in subscriber.holds(publication):
            first, last = _bounds(publication, topic, subscriber, places, sent)
            if subscriber.ended is not None and last == math.inf:
                # It lost the connection after the last event that it saw, and knows that there may have been more.
                continue
            gaps = [
                place
                for place, seen in enumerate(subscriber.seen)
                if seen.event is None and seen.topic == topic and seen.at > publication.sent
            ]
            if any(first < gap < last for gap in gaps):
                continue
            how = "no gap was told" if not gaps else "the gap was told elsewhere in its stream"
            yield Finding(
                "lost",
                f"{subscriber.name} on {subscriber.node} never saw {publication.id} to {publication.topics}, sent to"
                f" {publication.node} at {publication.sent:.3f}, answered 200 at {publication.answered:.3f}:"
                f" of {topic} {how}",
            )


def _bounds(
    publication: Publication,
    topic: str,
    subscriber: Subscriber,
    places: Mapping[str, int],
    sent: Mapping[str, Publication],
) -> tuple[float, float]:
    """The places in a subscriber's stream between which *publication* belongs, as far as *topic* goes.

    An event of several of its topics may have come by way of another one's stream, and says nothing of this one's.
    """
    first, last = -1.0, math.inf
    for event, place in places.items():
        other = sent.get(event)
        if other is None or [each for each in other.topics if each in subscriber.held] != [topic]:
            continue
        if other.status == 200 and other.answered < publication.sent:
            first = max(first, place)
        elif other.sent > publication.answered:
            last = min(last, place)
    return first, last


def _false_drops(
    subscriber: Subscriber, sent: Mapping[str, Publication], silences: Sequence[Silence]
) -> Iterable[Finding]:
    for publication in sent.values():
        if publication.status != 204 or not subscriber.holds(publication):
            continue
        where = f"{publication.id} to {publication.topics}, sent to {publication.node} at {publication.sent:.3f}"
        if not any(
            silence.node == subscriber.node
            and silence.since <= publication.answered
            and publication.sent <= silence.until
            for silence in silences
        ):
            yield Finding("false 204", f"{where}, answered at {publication.answered:.3f}: {subscriber.name} held it")
        elif subscriber.ended is None and not told(subscriber, publication):
            yield Finding("untold drop", f"{where}: {subscriber.name} was connected all the time and told of no gap")
