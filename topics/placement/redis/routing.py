"""What a publish asks of Redis: which topics exist, what its id was answered before, and to be handed on.

Each answer belongs to an era (`lease.py`): nothing is answered out of what may lack something.
"""

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.placement.base import NOTHING_KEPT, Drop, Limits, Routed
from topics.placement.redis import keeping
from topics.placement.redis.commands import Argument
from topics.placement.redis.envelope import pack_drop, pack_event
from topics.placement.redis.kept import KeptTopics
from topics.placement.redis.keys import Keys
from topics.placement.redis.lease import Lease


class Routing:
    """The steps of a publish. Each method may raise `PlacementUnavailable`.

    Args:
        lease: This node's.
        keys: Names in Redis.
        kept: The topics that keep history, None when none may.
        dedupe_seconds: How long an id is remembered in a topic, so that it is not delivered again; 0 is off.
    """

    def __init__(self, lease: Lease, keys: Keys, kept: KeptTopics | None, dedupe_seconds: float) -> None:
        self._lease = lease
        self._keys = keys
        self._kept = kept
        self._dedupe_seconds = dedupe_seconds
        self._identities = itertools.count()
        # The topics of the next look-up, and the task that will answer.
        self._looking: tuple[dict[str, None], asyncio.Task[dict[str, int]]] | None = None

    async def count(self, topics: Iterable[str]) -> dict[str, int]:
        """Return the number of connections of each topic that exists; look-ups of one turn are one command."""
        self._lease.must_answer()
        names = list(topics)
        if self._looking is None:
            wanted: dict[str, None] = {}
            self._looking = wanted, asyncio.create_task(self._look_up(wanted))
        wanted, looking = self._looking
        wanted.update(dict.fromkeys(names))
        # Shielded: the first caller may leave, the others still wait for it.
        counts = await asyncio.shield(looking)
        return {name: counts[name] for name in names if name in counts}

    async def route(self, event: Event, kept: Mapping[str, Limits] = NOTHING_KEPT) -> Routed:
        """Publish an event to its topics' groups, this node's own connections included, in one step."""
        identity = self._identity()
        if kept or self._dedupe_seconds:
            here = self._kept is not None and self._kept.here
            arguments = keeping.arguments_of(
                self._keys, event, kept, identity=identity, dedupe_seconds=self._dedupe_seconds, here=here
            )
            routed = keeping.routed(event, await self._run("keep", keeping.keys_of(self._keys, event), arguments))
            if self._kept is not None:
                self._kept.know(event.position)
            return routed
        counts = await self._run(
            "route",
            list(map(self._keys.topic, event.topics)),
            [event.id, repr(event.time), self._keys.channel_prefix, pack_event(identity, event), *event.topics],
        )
        return Routed(_existing(event.topics, counts))

    async def answered(self, event_id: str, topics: Iterable[str]) -> dict[str, int]:
        """Return what was answered for an id before."""
        self._lease.must_answer()
        if not self._dedupe_seconds:
            return {}
        names = list(topics)
        counts = await self.ask("answered", [self._keys.answer(topic, event_id) for topic in names], [])
        return {topic: count for topic, count in zip(names, counts, strict=True) if count >= 0}

    def report_drop(self, drop: Drop) -> None:
        """Tell every node's tails; nobody waits for it."""
        channels = [self._keys.channel(topic) for topic in drop.topics]
        self._lease.commands.run("drop", [], [pack_drop(self._identity(), drop), *channels])

    async def ask(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script that reads what all nodes have agreed on.

        Args:
            script: Name of its file; it begins with a look at the era, as answered.lua does.
            keys: `KEYS` behind `settled`.
            arguments: `ARGV` behind the era.
        """
        lease, era = self._lease, self._lease.must_answer()
        answer = await lease.commands.run(script, [self._keys.settled, *keys], [era, *arguments])
        if answer == b"unsettled" or lease.era != era:
            raise self._unsettled()
        return answer

    async def _look_up(self, wanted: Mapping[str, None]) -> dict[str, int]:
        # Let the other requests of this turn join.
        await asyncio.sleep(0)
        self._looking = None
        return _existing(wanted, await self._run("count", list(map(self._keys.topic, wanted)), []))

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script that counts what live nodes hold; this one must be sure that it lives itself."""
        lease = self._lease
        keys = [self._keys.settled, self._keys.leases, *keys]
        for _ in range(2):
            era = lease.must_answer()
            answer = await lease.commands.run(script, keys, [era, lease.session, round(lease.ttl * 1000), *arguments])
            if answer == b"unsettled" or lease.era != era:
                # The second: another Redis answered than the one that was asked, and it may lack something.
                break
            if answer == b"late":
                await lease.renew()
                continue
            return answer
        raise self._unsettled()

    def _identity(self) -> str:
        return f"{self._lease.session}-{next(self._identities)}"

    def _unsettled(self) -> PlacementUnavailable:
        self._lease.look()
        return PlacementUnavailable("Not every node has registered yet.")


def _existing(topics: Iterable[str], counts: Iterable[int]) -> dict[str, int]:
    return {topic: count for topic, count in zip(topics, counts, strict=True) if count}
