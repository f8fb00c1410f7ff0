"""Lets go of what is too much or too old, in small steps. Runs in the writer's thread."""

from collections.abc import Callable, Mapping
from itertools import takewhile

from django.db import transaction
from django.db.models import F, Min, QuerySet

from topics.history.base import INDEXED_EVENTS, Limits
from topics.history.database.writing import STEP, Writing
from topics.history.rules import Rules
from topics.models import HistoryEntry, HistoryEvent, HistoryHead, HistoryTopic

NOTHING = Limits(0, None)
"""What a topic keeps that no rule is for any more."""


def most_known(limits: Limits) -> int:
    """Return how many evicted events of a topic are known by their ids."""
    return INDEXED_EVENTS if limits.events is None else min(limits.events, INDEXED_EVENTS)


class Trimming:
    """Eviction: first an event's data goes, later its id.

    Nobody waits for it: readers leave out what is to go.

    Args:
        alias: The database's name among Django's.
        rules: What is kept.
        now: Tells the time, in microseconds since the epoch.
        writing: Has the lock of all changes.
    """

    def __init__(self, alias: str, rules: Rules, now: Callable[[], int], writing: Writing) -> None:
        self._alias = alias
        self._rules = rules
        self._now = now
        self._writing = writing

    def look_at_all_again(self) -> None:
        """Have every topic tidied when the rules are not those of the last time."""
        rules = repr(self._rules.limits)
        with transaction.atomic(self._alias, durable=True):
            head = self._writing.lock_head()
            if head.rules != rules:
                head.rules = rules
                head.save(using=self._alias, update_fields=["rules"])
                HistoryTopic.objects.using(self._alias).update(due=0)

    def step(self) -> bool:
        """Tidy one topic that is due, by `STEP` events at most.

        Returns:
            Whether there was one.
        """
        due = HistoryTopic.objects.using(self._alias).filter(due__lte=self._now()).order_by("due")
        key = due.values_list("pk", flat=True).first()
        if key is None:
            return False
        with transaction.atomic(self._alias, durable=True):
            head = self._writing.lock_head()
            topic = HistoryTopic.objects.using(self._alias).filter(pk=key).first()
            if topic is not None:
                self._tidy(head, topic, self._rules.of(topic.name) or NOTHING)
        return True

    def _tidy(self, head: HistoryHead, topic: HistoryTopic, limits: Limits) -> None:
        now = self._now()
        age = None if limits.seconds is None else int(limits.seconds * 1_000_000)
        floor = 0 if limits.events is None else topic.number - limits.events
        entries = HistoryEntry.objects.using(self._alias).filter(topic_id=topic.pk).order_by("position")
        oldest = list(entries.filter(position__gt=topic.evicted_position).values_list("position", "number")[:STEP])
        gone = list(takewhile(lambda row: row[1] <= floor or (age is not None and row[0] <= now - age), oldest))
        if gone:
            self._evict([position for position, _ in gone])
            topic.evicted_position, topic.evicted = gone[-1]
        known = list(
            entries.filter(position__lte=topic.evicted_position).values_list(
                "position", "number", "event_id", "before"
            )[:STEP]
        )
        forgotten = list(
            takewhile(
                lambda row: (
                    row[1] <= topic.evicted - most_known(limits) or (age is not None and row[0] <= now - 2 * age)
                ),
                known,
            )
        )
        if forgotten:
            topic.forgotten_position, topic.forgotten = forgotten[-1][:2]
            entries.filter(position__lte=topic.forgotten_position).order_by().delete()
            oldest_of: dict[str, int] = {}
            for position, _, event_id, before in forgotten:
                oldest_of.setdefault(event_id, position if before is None else before)
            self._mark(entries.filter(position__gt=topic.forgotten_position).order_by(), oldest_of)
        if STEP in (len(gone), len(forgotten)):
            topic.due = 0
        elif len(gone) == len(oldest) and len(forgotten) == len(known):
            head.vanished = max(head.vanished, topic.position)
            head.save(using=self._alias, update_fields=["vanished"])
            topic.delete(using=self._alias)
            return
        elif age is None:
            topic.due = None
        else:
            first_kept = [position + age for position, _ in oldest[len(gone) :][:1]]
            first_known = [position + 2 * age for position, *_ in known[len(forgotten) :][:1]]
            topic.due = min(first_kept + first_known)
        topic.save(using=self._alias)

    def _mark(self, left: QuerySet[HistoryEntry], oldest_of: Mapping[str, int]) -> None:
        """Remember at the next event of the same id that it repeats one: its id does not tell where a client stands."""
        again = left.filter(event_id__in=list(oldest_of)).values("event_id").annotate(next=Min("position"))
        for event_id, position in again.values_list("event_id", "next"):
            entry = left.filter(position=position)
            entry.filter(before__isnull=True).update(before=oldest_of[event_id])
            entry.filter(before__gt=oldest_of[event_id]).update(before=oldest_of[event_id])

    def _evict(self, positions: list[int]) -> None:
        events = HistoryEvent.objects.using(self._alias).filter(position__in=positions)
        events.update(holders=F("holders") - 1)
        events.filter(holders__lte=0).delete()
