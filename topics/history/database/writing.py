"""Stores events: numbers, positions and rows, in one transaction for all that wait. Runs in the writer's thread."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connections, transaction

from topics.events import Event
from topics.history.base import Limits
from topics.models import HistoryEntry, HistoryEvent, HistoryHead, HistoryTopic

STEP = 256
"""Events of a topic that are let go of together."""


@dataclass(slots=True)
class Draft:
    """An event on its way into the store.

    Attributes:
        event: What was published; gets its position here.
        topics: Those of its topics that it is stored in, and how much each keeps.
        data: In UTF-8.
        position: In the order of all that is kept, from `Writing.insert`; 0 when it is in none of them.
    """

    event: Event
    topics: Mapping[str, Limits]
    data: bytes
    position: int = 0


class Writing:
    """The rows of new events.

    Args:
        alias: The database's name among Django's.
        now: Tells the time, in microseconds since the epoch.
        dedupe: Microseconds in which an event with the id of another is the same one; 0 is off.
    """

    def __init__(self, alias: str, now: Callable[[], int], dedupe: int = 0) -> None:
        self._alias = alias
        self._now = now
        self._dedupe = dedupe

    def insert(self, drafts: Sequence[Draft], began: Callable[[], None]) -> None:
        """Store events in their order, behind all that is stored; those that were stored before stay as they are.

        Args:
            drafts: The events. Topics that have one already are taken out of it.
            began: Called once the database has answered: from there on a failure leaves in doubt what it stored.
        """
        with transaction.atomic(self._alias, durable=True):
            head = self.lock_head()
            began()
            topics = self._topics(drafts)
            self._leave_out_known(drafts, topics)
            new = [draft for draft in drafts if draft.topics]
            if not new:
                return
            for draft in new:
                # Microseconds, so that a position tells an age, and a database that was lost gives no position twice.
                head.position = draft.position = max(head.position + 1, self._now())
            self._place(head, new, topics)
            heads = HistoryHead.objects.using(self._alias).filter(id=1)
            heads.update(position=head.position, topics=head.topics)

    def amend(self, stored: Sequence[Draft], left: Sequence[Draft]) -> None:
        """Store only a part of what `insert` stored; nobody else has stored anything since.

        Args:
            stored: What `insert` was given.
            left: What stays, at the same positions, perhaps in fewer topics.
        """
        with transaction.atomic(self._alias, durable=True):
            head = self.lock_head()
            topics = self._topics(stored)
            positions = [draft.position for draft in stored]
            keys = [topic.pk for topic in topics.values()]
            HistoryEntry.objects.using(self._alias).filter(topic_id__in=keys, position__in=positions).delete()
            HistoryEvent.objects.using(self._alias).filter(position__in=positions).delete()
            for draft in stored:
                for name in draft.topics:
                    topic = topics[name]
                    topic.number = max(topic.number - 1, topic.evicted)
                    # It may have nothing left.
                    topic.due = 0
            self._place(head, left, topics)

    def touch(self) -> None:
        """Write what is there already: fails as long as nothing can be stored."""
        with transaction.atomic(self._alias, durable=True):
            head = self.lock_head()
            HistoryHead.objects.using(self._alias).filter(id=1).update(position=head.position)

    def lock_head(self) -> HistoryHead:
        """Return the row that all changes go through, locked."""
        return HistoryHead.objects.using(self._alias).select_for_update().get(id=1)

    def _topics(self, drafts: Iterable[Draft]) -> dict[str, HistoryTopic]:
        names = {name for draft in drafts for name in draft.topics}
        return {topic.name: topic for topic in HistoryTopic.objects.using(self._alias).filter(name__in=names)}

    def _leave_out_known(self, drafts: Sequence[Draft], topics: Mapping[str, HistoryTopic]) -> None:
        if not self._dedupe or not topics:
            return
        names = {topic.pk: name for name, topic in topics.items()}
        found = HistoryEntry.objects.using(self._alias).filter(
            topic_id__in=list(names),
            event_id__in=[draft.event.id for draft in drafts],
            position__gt=self._now() - self._dedupe,
        )
        known = {
            (event_id, names[key]): position
            for key, event_id, position in found.values_list("topic_id", "event_id", "position")
        }
        for draft in drafts:
            before = {name: known[draft.event.id, name] for name in draft.topics if (draft.event.id, name) in known}
            if before:
                draft.position = max(before.values())
                draft.topics = {name: limits for name, limits in draft.topics.items() if name not in before}

    def _place(self, head: HistoryHead, drafts: Sequence[Draft], topics: dict[str, HistoryTopic]) -> None:
        entries: list[HistoryEntry] = []
        for draft in drafts:
            for name, limits in draft.topics.items():
                topic = topics.get(name)
                if topic is None:
                    topic = topics[name] = _new_topic(head, name)
                _count(topic, draft.position, limits)
                entries.append(
                    HistoryEntry(
                        topic_id=topic.pk,
                        position=draft.position,
                        number=topic.number,
                        event_id=draft.event.id,
                        size=len(draft.data),
                    )
                )
        with_target = connections[self._alias].features.supports_update_conflicts_with_target
        HistoryTopic.objects.using(self._alias).bulk_create(
            topics.values(),
            update_conflicts=True,
            unique_fields=["id"] if with_target else None,
            update_fields=["number", "position", "due"],
        )
        HistoryEvent.objects.using(self._alias).bulk_create(_row(draft) for draft in drafts)
        HistoryEntry.objects.using(self._alias).bulk_create(entries)


def _new_topic(head: HistoryHead, name: str) -> HistoryTopic:
    head.topics += 1
    # It may have been there before, and vanished.
    return HistoryTopic(
        id=head.topics, name=name, evicted_position=head.vanished, forgotten_position=head.vanished, due=None
    )


def _count(topic: HistoryTopic, position: int, limits: Limits) -> None:
    topic.number += 1
    topic.position = position
    if topic.due is None and limits.seconds is not None:
        topic.due = position + int(limits.seconds * 1_000_000)
    if limits.events is not None and topic.number - topic.evicted >= limits.events + STEP:
        topic.due = 0


def _row(draft: Draft) -> HistoryEvent:
    event = draft.event
    return HistoryEvent(
        position=draft.position,
        event_id=event.id,
        topics=",".join(event.topics),
        event=event.event,
        retry=event.retry,
        time=event.time,
        data=draft.data,
        holders=len(draft.topics),
    )
