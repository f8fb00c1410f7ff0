"""What the tables say: no lock is needed, as nothing is handed on before it is stored. Runs in the reader's thread."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery

from topics.events import Event
from topics.history.base import PAGE_BYTES, Gap, Kept, Limits, Standing
from topics.history.database.trimming import most_known
from topics.history.rules import Rules
from topics.models import HistoryEntry, HistoryEvent, HistoryHead, HistoryTopic
from topics.placement.base import Page

LIST_BYTES = 4 * 1_048_576
"""Where a page of an administrator's list ends though more events were asked for."""

Row = tuple[int, int, int, int]
"""Position, key of the topic, number and bytes of an entry."""


@dataclass(slots=True)
class _Known:
    """A topic's numbers: those up to `forgotten` are not known, those up to `evicted` not kept."""

    row: HistoryTopic
    limits: Limits
    evicted: int
    forgotten: int


class Reading:
    """The questions that the protocol asks.

    Args:
        alias: The database's name among Django's.
        rules: What is kept.
        now: Tells the time, in microseconds since the epoch.
    """

    def __init__(self, alias: str, rules: Rules, now: Callable[[], int]) -> None:
        self._alias = alias
        self._rules = rules
        self._now = now

    def locate(self, names: Sequence[str], last_id: str) -> Standing:
        """Find where a client stands."""
        known = self._known(names)
        entries = self._entries.filter(topic_id__in=[topic.row.pk for topic in known.values()], event_id=last_id)
        by_key = {topic.row.pk: topic for topic in known.values()}
        positions: set[int] = set()
        found = list(entries.values_list("topic_id", "position", "number", "before"))
        if any(number > by_key[key].forgotten for key, _, number, _ in found):
            # Older ones count as well, as far as anything tells of them.
            positions.update(position for _, position, _, _ in found)
            positions.update(before for *_, before in found if before is not None)
        after = min(positions, default=0)
        at = self._numbers_at({topic.row.pk: after for topic in known.values()}) if positions else {}
        gaps: list[Gap] = []
        numbers: dict[str, int] = {}
        for name in names:
            topic = known.get(name)
            if not positions:
                gaps.append(Gap(name, None, "unknown-id"))
            elif len(positions) > 1:
                gaps.append(Gap(name, None, "repeated-id"))
            else:
                missed = self._missed(topic, after, at)
                if missed != 0:
                    gaps.append(Gap(name, missed, "evicted"))
            numbers[name] = 1 if topic is None else max(at.get(topic.row.pk) or 0, topic.evicted) + 1
        return Standing(dict.fromkeys(names, after), gaps, numbers)

    def read(self, after: Mapping[str, int], limit: int) -> Sequence[Kept]:
        """Return a page of what follows some positions."""
        while True:
            rows = self._topics(after)
            entries = sorted(self._behind(rows, after, limit))
            page = self._page(entries, {row.pk: row.name for row in rows.values()}, limit)
            # Entries without events: these were evicted between the two looks. Empty is only the end.
            if page or not entries:
                return page

    def events(self, name: str, limit: int, before: int | None) -> Page[Kept]:
        """Return a page of a topic's events, newest first."""
        known = self._known([name]).get(name)
        if known is None:
            return Page([], None, 0)
        entries = self._kept(known.row, known.limits, 0).filter(number__gt=known.evicted).order_by("-position")
        if before is not None:
            entries = entries.filter(position__lt=before)
        found = list(entries.values_list("position", "number", "size")[: limit + 1])
        size = 0
        items: list[tuple[int, int]] = []
        for position, number, length in found[:limit]:
            if items and size >= LIST_BYTES:
                break
            items.append((position, number))
            size += length
        events = self._events([position for position, _ in items])
        return Page(
            [Kept(events[position], {name: number}) for position, number in items if position in events],
            str(items[-1][0]) if len(items) < len(found) else None,
            known.row.number - known.evicted,
        )

    def names(self, q: str) -> Sequence[str]:
        """Return the names of all topics of which events are kept."""
        now = self._now()
        found = (
            HistoryTopic.objects.using(self._alias)
            .filter(name__contains=q)
            .values_list("name", "number", "evicted", "position")
        )
        return [
            name
            for name, number, evicted, position in found.iterator()
            if q in name and number > evicted and (limits := self._rules.of(name)) and position > _oldest(limits, now)
        ]

    @property
    def _entries(self) -> QuerySet[HistoryEntry]:
        return HistoryEntry.objects.using(self._alias)

    def _topics(self, names: Iterable[str]) -> dict[str, HistoryTopic]:
        kept = [name for name in names if self._rules.of(name) is not None]
        return {row.name: row for row in HistoryTopic.objects.using(self._alias).filter(name__in=kept)}

    def _known(self, names: Iterable[str]) -> dict[str, _Known]:
        now = self._now()
        known: dict[str, _Known] = {}
        aged: dict[int, int] = {}
        for name, row in self._topics(names).items():
            limits = self._rules.of(name)
            assert limits is not None  # noqa: S101 - else it were not among them
            known[name] = _Known(row, limits, row.evicted, row.forgotten)
            if limits.seconds is not None:
                aged[row.pk] = _oldest(limits, now)
        too_old = self._numbers_at(aged)
        not_known = self._numbers_at({key: 2 * oldest - now for key, oldest in aged.items()})
        for topic in known.values():
            row = topic.row
            by_count = 0 if topic.limits.events is None else row.number - topic.limits.events
            topic.evicted = max(row.evicted, by_count, too_old.get(row.pk) or 0)
            topic.forgotten = max(row.forgotten, topic.evicted - most_known(topic.limits), not_known.get(row.pk) or 0)
        return known

    def _numbers_at(self, positions: Mapping[int, int]) -> dict[int, int | None]:
        """Return for each topic the number of its last entry up to a position; None when there is none."""
        together: defaultdict[int, list[int]] = defaultdict(list)
        for key, position in positions.items():
            together[position].append(key)
        numbers: dict[int, int | None] = {}
        for position, keys in together.items():
            entries = HistoryEntry.objects.filter(topic_id=OuterRef("pk"), position__lte=position)
            last = Subquery(entries.order_by("-position").values("number")[:1])
            topics = HistoryTopic.objects.using(self._alias).filter(pk__in=keys)
            numbers.update(topics.annotate(at=last).values_list("pk", "at"))
        return numbers

    def _missed(self, topic: _Known | None, after: int, at: Mapping[int, int | None]) -> int | None:
        if topic is None:
            head = HistoryHead.objects.using(self._alias).get(pk=1)
            return None if after < head.vanished else 0
        number = at.get(topic.row.pk)
        if number is None:
            if after < topic.row.forgotten_position:
                return None
            number = topic.row.forgotten
        return None if number < topic.forgotten else max(0, topic.evicted - number)

    def _kept(self, row: HistoryTopic, limits: Limits, after: int) -> QuerySet[HistoryEntry]:
        start = max(after, row.evicted_position, _oldest(limits, self._now()))
        entries = self._entries.filter(topic_id=row.pk, position__gt=start)
        return entries if limits.events is None else entries.filter(number__gt=row.number - limits.events)

    def _behind(self, rows: Mapping[str, HistoryTopic], after: Mapping[str, int], limit: int) -> list[Row]:
        # A query for each topic: one for all would sort all that follows, for each page again.
        found: list[Row] = []
        positions: set[int] = set()
        for name, row in rows.items():
            limits = self._rules.of(name)
            if limits is None or row.position <= after[name]:
                continue
            entries = self._kept(row, limits, after[name]).order_by("position")
            if len(positions) >= limit:
                entries = entries.filter(position__lte=sorted(positions)[limit - 1])
            for position, key, number, size in entries.values_list("position", "topic_id", "number", "size")[:limit]:
                found.append((position, key, number, size))
                positions.add(position)
        return found

    def _page(self, entries: Iterable[Row], names: Mapping[int, str], limit: int) -> list[Kept]:
        numbers: dict[int, dict[str, int]] = {}
        size = 0
        for position, key, number, length in entries:
            if position not in numbers:
                if len(numbers) == limit or size >= PAGE_BYTES:
                    break
                numbers[position] = {}
                size += length
            numbers[position][names[key]] = number
        events = self._events(numbers)
        return [Kept(events[position], numbers[position]) for position in numbers if position in events]

    def _events(self, positions: Iterable[int]) -> dict[int, Event]:
        rows = HistoryEvent.objects.using(self._alias).filter(position__in=list(positions))
        return {
            position: Event(tuple(topics.split(",")), event_id, bytes(data).decode(), event, retry, time, position)
            for position, event_id, topics, event, retry, time, data in rows.values_list(
                "position", "event_id", "topics", "event", "retry", "time", "data"
            )
        }


def _oldest(limits: Limits, now: int) -> int:
    """Return the last position that is too old."""
    return 0 if limits.seconds is None else now - int(limits.seconds * 1_000_000)
