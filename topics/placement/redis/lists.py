"""The admin API's lists, read from Redis; what changes with each event is asked of the node that holds it."""

import asyncio
import bisect
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from topics.placement.base import ConnectionRecord, NodeStatus, Page, Stats, TopicRecord, Transport
from topics.placement.redis.commands import UNREACHABLE, unavailable
from topics.placement.redis.envelope import unpack_record
from topics.placement.redis.keys import Keys
from topics.placement.redis.lease import Lease
from topics.placement.redis.peers import Peer, peer_of
from topics.placement.redis.questions import Questions

INITIALS: dict[Transport, str] = {"sse": "s", "websocket": "w"}
"""First character of a connection's name in Redis, so that lists by transport need not read records."""


def member_of(connection_id: str, transport: Transport) -> str:
    """Return a connection's name in Redis."""
    return INITIALS[transport] + connection_id


class Lists:
    """Every node reads the same keys, and so gives the same answers. Each method may raise `PlacementUnavailable`.

    Args:
        lease: This node's.
        keys: Names in Redis.
        questions: For the other nodes.
    """

    def __init__(self, lease: Lease, keys: Keys, questions: Questions) -> None:
        self._lease = lease
        # redis-py's types are unions of all that any protocol version may answer.
        self._client: Any = lease.client
        self._keys = keys
        self._questions = questions

    async def topics(self, *, limit: int, after: str | None, q: str) -> Page[TopicRecord]:
        """Return one page of topics by name."""
        async with self._peers() as peers:
            names = [name.decode() for name in await self._client.zrange(self._keys.topics, 0, -1)]
            if q:
                names = [name for name in names if q in name]
            start = 0 if after is None else bisect.bisect_right(names, after)
            page = names[start : start + limit]
            async with self._client.pipeline(transaction=False) as pipeline:
                for name in page:
                    pipeline.hgetall(self._keys.topic(name))
                tables = await pipeline.execute()
        records = (_topic_record(name, table, peers) for name, table in zip(page, tables, strict=True))
        return Page(
            # A topic of dead nodes alone is about to be removed.
            items=[record for record in records if record.connections],
            next=page[-1] if start + limit < len(names) else None,
            total=len(names),
        )

    async def connections(
        self, *, limit: int, after: str | None, topic: str | None, node: str | None, transport: Transport | None
    ) -> Page[ConnectionRecord]:
        """Return one page of connections in the order of their coming, by the nodes' clocks.

        A position is a number and a session: numbers are a node's own, and two nodes may give the same one.
        """
        number, _, session = (after or "0.").partition(".")
        position = int(number), session
        found: list[tuple[int, str, str]] = []
        total = 0
        async with self._peers() as peers:
            holders = [peer for peer in peers if node in (None, peer.node.name)]
            async with self._client.pipeline(transaction=False) as pipeline:
                for peer in holders:
                    keys = self._keys
                    index = keys.order(peer.session) if topic is None else keys.members(peer.session, topic)
                    pipeline.zcard(index)
                    if transport is None:
                        low = f"({number}" if peer.session <= session else number
                        pipeline.zrangebyscore(index, low, "+inf", 0, limit + 1, withscores=True)
                    else:
                        pipeline.zrange(index, 0, -1, withscores=True)
                answers = await pipeline.execute()
            for peer, size, members in zip(holders, answers[::2], answers[1::2], strict=True):
                rows = [(int(score), peer.session, member.decode()) for member, score in members]
                if transport is not None:
                    rows = [row for row in rows if row[2].startswith(INITIALS[transport])]
                total += size if transport is None else len(rows)
                found += [row for row in rows if row[:2] > position]
            found.sort()
            page = found[:limit]
            items = await self._records(peers, [(session, member) for _, session, member in page])
        return Page(items, f"{page[-1][0]}.{page[-1][1]}" if len(found) > limit else None, total)

    async def connection(self, connection_id: str) -> ConnectionRecord | None:
        """Return one connection."""
        async with self._peers() as peers:
            found = await self._find(peers, connection_id)
            records = await self._records(peers, [(found[0].session, found[1])]) if found else []
        return records[0] if records else None

    async def holder(self, connection_id: str) -> Peer | None:
        """Return the node that holds a connection."""
        async with self._peers() as peers:
            found = await self._find(peers, connection_id)
        return found[0] if found else None

    async def nodes(self) -> list[NodeStatus]:
        """Return the nodes that live, by name."""
        async with self._peers() as peers:
            looked = time.time()
            said = await self._statuses(peers)
            async with self._client.pipeline(transaction=False) as pipeline:
                for peer in peers:
                    pipeline.zcard(self._keys.order(peer.session))
                    pipeline.scard(self._keys.held(peer.session))
                sizes = await pipeline.execute()
        now = time.time()
        found = []
        for index, (peer, status) in enumerate(zip(peers, said, strict=True)):
            # An answer is a later sign of life than the last renewal, which comes every third of a lease.
            unseen = 0.0 if status["answered"] else max(0.0, peer.ttl - peer.left)
            found.append(
                NodeStatus(
                    node=peer.node,
                    last_seen=now if status["answered"] else looked - unseen,
                    silent=unseen > peer.ttl / 2,
                    connections=sizes[2 * index],
                    topics=sizes[2 * index + 1],
                    draining=bool(status["draining"]),
                )
            )
        return found

    async def stats(self) -> Stats:
        """Return totals over the nodes that live."""
        async with self._peers() as peers:
            said = await self._statuses(peers)
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.zcard(self._keys.topics)
                for peer in peers:
                    pipeline.zcard(self._keys.order(peer.session))
                topics, *connections = await pipeline.execute()
        totals: Counter[str] = Counter()
        rates: dict[str, float] = {}
        for status in said:
            totals.update(status["counters"])
            for name, rate in status["rates"].items():
                rates[name] = rates.get(name, 0.0) + rate
        return Stats(
            connections=sum(connections),
            topics=topics,
            published=totals["published"],
            delivered=totals["delivered"],
            dropped=totals["dropped"],
            gaps=totals["gaps"],
            rates=rates,
        )

    @contextlib.asynccontextmanager
    async def _peers(self) -> AsyncIterator[list[Peer]]:
        self._lease.must_answer()
        try:
            rows = await self._lease.commands.run("table", [self._keys.leases, self._keys.info], [])
            peers = [peer_of(session.decode(), float(left), info) for session, left, info in rows if info]
            yield sorted(peers, key=lambda peer: (peer.node.name, peer.session))
        except UNREACHABLE as error:
            raise unavailable(error) from error

    async def _statuses(self, peers: Sequence[Peer]) -> list[dict[str, Any]]:
        said = await asyncio.gather(*[self._questions.status(peer.channel) for peer in peers])
        # A node that does not answer is shown as of its last renewal.
        return [
            {
                "draining": peer.draining,
                "counters": peer.counters,
                "rates": peer.rates,
                **(status or {}),
                "answered": status is not None,
            }
            for peer, status in zip(peers, said, strict=True)
        ]

    async def _records(self, peers: Sequence[Peer], wanted: Sequence[tuple[str, str]]) -> list[ConnectionRecord]:
        """Return connections, given by session and name, in that order, without those that have gone meanwhile."""
        shares = [(peer, [member for session, member in wanted if session == peer.session]) for peer in peers]
        answers = await asyncio.gather(*[self._share(peer, members) for peer, members in shares if members])
        records = {record_id: record for answer in answers for record_id, record in answer.items()}
        return [records[member[1:]] for _, member in wanted if member[1:] in records]

    async def _share(self, peer: Peer, members: Sequence[str]) -> dict[str, ConnectionRecord]:
        answer = await self._questions.records(peer.channel, [member[1:] for member in members])
        if answer is not None:
            return answer
        rows = await self._client.hmget(self._keys.records(peer.session), members)
        return {record.id: record for record in (unpack_record(row, peer.node.name) for row in rows if row)}

    async def _find(self, peers: Sequence[Peer], connection_id: str) -> tuple[Peer, str] | None:
        members = [member_of(connection_id, transport) for transport in INITIALS]
        async with self._client.pipeline(transaction=False) as pipeline:
            for peer in peers:
                pipeline.hmget(self._keys.records(peer.session), members)
            answers = await pipeline.execute()
        for peer, answer in zip(peers, answers, strict=True):
            for member, record in zip(members, answer, strict=True):
                if record is not None:
                    return peer, member
        return None


def _topic_record(name: str, table: dict[bytes, bytes], peers: Sequence[Peer]) -> TopicRecord:
    counts = [(peer.node.name, int(table.get(peer.session.encode(), 0))) for peer in peers]
    last_time = table.get(b"time")
    return TopicRecord(
        name=name,
        connections=sum(count for _, count in counts),
        nodes=tuple(sorted({node for node, count in counts if count})),
        events=int(table.get(b"seq", 0)),
        last_id=table.get(b"id", b"").decode() or None,
        last_time=float(last_time) if last_time else None,
    )
