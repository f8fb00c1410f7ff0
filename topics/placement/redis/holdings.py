"""What this node holds, by its own books: its connections, and the topics that it must hear. Pure."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from topics.placement.base import ConnectionRecord
from topics.placement.redis.envelope import pack_record
from topics.placement.redis.lists import member_of


@dataclass(slots=True)
class Held:
    """A connection of this node.

    Attributes:
        record: As it was attached.
        number: In the order of their coming.
        topics: What it holds now, as registered or about to be.
    """

    record: ConnectionRecord
    number: int
    topics: dict[str, None] = field(default_factory=dict)

    @property
    def member(self) -> str:
        """Its name in Redis."""
        return member_of(self.record.id, self.record.transport)

    def packed(self) -> bytes:
        """Return what Redis keeps of it."""
        return pack_record(self.record, list(self.topics))


class Holdings:
    """The connections of a node and the topics that its tails watch.

    Attributes:
        counts: Connections of each topic that has one here.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._held: dict[str, Held] = {}
        self._watched: Counter[str] = Counter()
        self._last_number = 0

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, connection_id: str) -> Held | None:
        """Return a connection, None when it is not held."""
        return self._held.get(connection_id)

    def begin(self, record: ConnectionRecord) -> Held:
        """Take a connection, as yet without topics."""
        self._last_number = max(self._last_number + 1, time.time_ns() // 1000)
        held = self._held[record.id] = Held(record, self._last_number)
        return held

    def end(self, connection_id: str) -> None:
        """Forget a connection, if it is held; `take` takes its topics."""
        self._held.pop(connection_id, None)

    def give(self, held: Held, topics: Sequence[str]) -> None:
        """Add topics to a connection that does not hold them yet."""
        for topic in topics:
            held.topics[topic] = None
            self.counts[topic] += 1

    def take(self, held: Held, topics: Iterable[str]) -> list[str]:
        """Take topics from a connection; returns those that it held."""
        taken = [topic for topic in dict.fromkeys(topics) if topic in held.topics]
        for topic in taken:
            del held.topics[topic]
            self.counts[topic] -= 1
            if not self.counts[topic]:
                del self.counts[topic]
        return taken

    def watch(self, topic: str) -> None:
        """Count one more tail of a topic."""
        self._watched[topic] += 1

    def unwatch(self, topic: str) -> None:
        """Undo one `watch`."""
        if self._watched[topic] <= 1:
            del self._watched[topic]
        else:
            self._watched[topic] -= 1

    def need(self, topic: str) -> bool:
        """Tell whether this node must hear a topic."""
        return topic in self.counts or topic in self._watched
