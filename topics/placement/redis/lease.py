"""This node's lease in Redis, and whether what Redis says is true: the loop that tends both.

A node registers under a session. It takes a new one whenever Redis may not hold all that it was told (it was away, was
restarted, or counted this node as dead): everything is registered under the new session, and in one step the new lease
begins and the old one ends.

Counts are true in an era: one run of one Redis server, with one life of its data, in which all nodes that live have
registered. Whoever finds that they have says so in the key `settled`; until then nobody answers. Eras are counted, so
that nodes which come back to a former master do not take for settled what they have left since.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection

from topics.exceptions import PlacementUnavailable
from topics.placement.base import Node
from topics.placement.redis.address import Address, sentinels_of
from topics.placement.redis.census import RETURN_SECONDS, Census
from topics.placement.redis.commands import UNREACHABLE, Commands, unavailable
from topics.placement.redis.graves import release
from topics.placement.redis.keys import Keys
from topics.placement.redis.peers import Peer, generation_of, info_of, peer_of
from topics.placement.redis.registrar import Registrar
from topics.placement.redis.sentinels import has_moved

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.2
"""Pause between attempts while nothing can be answered."""

CANARY_SECONDS = 1.0
"""How long a message may take from Redis to its own sender before the subscription counts as dead."""

FOLLOW_SECONDS = 1.0
"""Longest pause between two questions to the sentinels whether the master is another: a former one does not know."""


class Lease:
    """The lease of one node.

    Args:
        address: Of the Redis.
        keys: Names in it.
        ttl: Seconds after which a silent node counts as dead.
        node: This node.
        registrar: The placement around it.
    """

    def __init__(self, address: Address, keys: Keys, ttl: float, node: Node, registrar: Registrar) -> None:
        self.client: Redis = address.client(self._connected)
        self.commands = Commands(self.client, self.fail)
        self.session = ""
        self.era: str | None = None
        """In which this node may answer; None while it may not."""
        self.reachable = False
        self.ttl = ttl
        self._keys = keys
        self._node = node
        self._registrar = registrar
        self._instance = secrets.token_hex(8)
        self._known_era = ""
        """The last that this node was in; when it has left that, or heard of a newer one, no more than a number."""
        self._run = ""
        self._arriving = False
        self._heard_run = ""
        self._redis_since = time.monotonic()
        self._broken = True
        self._reopen = True
        self._lost = False
        self._census = Census(ttl)
        self._unheard_since: float | None = None
        self._left = ttl
        self._renewed = time.monotonic()
        self._wake = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._tending = False
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Register, and keep the lease from now on.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        await self.renew()
        self.tend()

    def tend(self) -> None:
        """Keep the lease from now on."""
        self._tending = True
        self._tasks = [asyncio.create_task(self._tend()), asyncio.create_task(self._follow())]

    async def neglect(self) -> None:
        """Renew no more: the lease runs out by itself."""
        self._tending = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def end(self) -> None:
        """Give the lease back, with everything that was registered; or let it run out when Redis is away."""
        await self.neglect()
        if self.reachable and self.session:
            keys = self._keys
            with contextlib.suppress(PlacementUnavailable, *UNREACHABLE):
                await self.commands.run("leave", [keys.leases, keys.info, keys.graves], [self.session])
                await release(self.session, self.commands, self.client, keys)
        self.era, self.reachable = None, False
        await self.commands.close()
        for client in (*sentinels_of(self.client), self.client):
            await client.aclose(close_connection_pool=True)

    def fail(self) -> None:
        """Take note that Redis may not hold all that it was told."""
        if self.reachable:
            logger.warning("placement store lost", extra={"node": self._node.name})
        self.era, self.reachable = None, False
        self._broken = self._reopen = True
        self._wake.set()

    def look(self) -> None:
        """Look at the table of nodes soon."""
        self._wake.set()

    def hear(self) -> None:
        """Take the message that a renewal sent to this node itself."""
        self._unheard_since = None

    def must_reach(self) -> None:
        """Raise `PlacementUnavailable` unless Redis answered last."""
        if not self.reachable:
            raise PlacementUnavailable("Redis cannot be reached.")

    def must_answer(self) -> str:
        """Return the era; raise `PlacementUnavailable` while nothing true can be said."""
        if self.era is None:
            self.must_reach()
            raise PlacementUnavailable("Not every node has registered yet.")
        return self.era

    async def renew(self) -> None:
        """Renew the lease, and register again when that is needed.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        async with self._renewing:
            try:
                if self._reopen:
                    # Whatever went wrong: what else is still open may lead elsewhere, or nowhere.
                    await self.client.connection_pool.disconnect(inuse_connections=False)
                    self.commands.reconnect()
                if time.monotonic() - self._renewed > self.ttl / 2 and await has_moved(self.client):
                    # A former master takes this node for late, and no more; the others need not have waited for it.
                    self.fail()
                # Makes a connection when there is none, and so finds out whether this is still the same Redis.
                await self.commands.ping()
                unheard = self._unheard_since
                if unheard is not None and time.monotonic() - unheard > CANARY_SECONDS and not self._broken:
                    # What Redis published has not come: the subscription is dead, whatever its socket says.
                    self._unheard_since = None
                    await self._resubscribe()
                if self._broken or not await self._renew():
                    await self._register()
            except PlacementUnavailable:
                self.fail()
                raise
            except UNREACHABLE as error:
                self.fail()
                raise unavailable(error) from error

    async def _register(self) -> None:
        for _ in range(3):
            # Before all else: what goes wrong from here on, or leads elsewhere, must be seen at the end.
            self._broken = False
            await self.commands.ping()
            if self._reopen or self._heard_run != self._run:
                self._reopen = False
                await self._resubscribe()
            if self._arriving:
                await self._arrive()
            if self.session and not self._lost:
                # Whether its lease had run out while Redis was away from this node.
                status, *_ = await self._send_renewal()
                self._lost = status != b"ok"
            previous, self.session = self.session, secrets.token_hex(8)
            await self._registrar.enroll(missed=self._lost)
            if await self._renew(previous):
                return
        raise PlacementUnavailable("Redis changes while this node registers.")

    async def _arrive(self) -> None:
        """Make all that is registered here already count as left behind, until whoever it is of has renewed it.

        Not when those who are here have settled since, or this node has only been away: it joins them then.
        """
        rows = await self.commands.run("table", [self._keys.leases, self._keys.info], [])
        said = await self.client.get(self._keys.settled)
        era = said.decode() if isinstance(said, bytes) else said or ""
        known, settled = generation_of(self._known_era), generation_of(era)
        if f"/{self._run}/" not in era or (era != self._known_era and settled <= known):
            newest = max((peer_of("", left, info).generation for _, left, info in rows if info), default=0)
            self._known_era = f"moved/{max(known, settled, newest) + 1}"
        self._arriving = False

    async def _resubscribe(self) -> None:
        heard, self._heard_run = self._heard_run, self._run
        self._lost = self._lost or (bool(heard) and heard != self._run)
        await self._registrar.reopen(missed=self._lost)

    async def _send_renewal(self, replaces: str | None = None) -> list[Any]:
        keys = self._keys
        described = self._registrar.describe()
        info = info_of(
            self._node,
            instance=self._instance,
            run=self._run,
            generation=generation_of(self._known_era),
            ttl=self.ttl,
            described=described,
        )
        answer: list[Any] = await self.commands.run(
            "renew",
            [keys.epoch, keys.settled, keys.leases, keys.info, keys.graves, keys.watch],
            [
                self.session,
                round(self.ttl * 1000),
                info,
                self._instance,
                "0" if replaces is None else "1",
                replaces or "",
                described["channel"],
                'N {"kind":"canary"}',
                self._known_era,
                round(RETURN_SECONDS * 1000),
            ],
        )
        return answer

    async def _renew(self, replaces: str | None = None) -> bool:
        """Renew, or begin with a session, and find out what may be answered; returns whether Redis has kept all.

        Args:
            replaces: The session that ends as this one begins, empty for none; None when this one has begun.
        """
        if self._unheard_since is None:
            self._unheard_since = time.monotonic()
        status, run, now, epoch, settled, leases, infos, graves = await self._send_renewal(replaces)
        # Of two connections made at once, the one to the former master may have been the last to say its run.
        self._take_run(run.decode())
        if status != b"ok" or self._broken:
            self._broken = True
            self._lost = self._lost or status != b"ok"
            self.era = None
            return False
        told = dict(zip(infos[::2], infos[1::2], strict=True))
        peers = [
            peer_of(session.decode(), float(score) - now, told[session])
            for session, score in zip(leases[::2], leases[1::2], strict=True)
            if session in told
        ]
        here, era = f"{epoch.decode()}/{self._run}/", settled.decode()
        newest = max(peer.generation for peer in peers)
        if newest > max(generation_of(self._known_era), generation_of(era) if era.startswith(here) else 0):
            stayed, self._known_era = self._known_era.startswith(here), f"moved/{newest}"
            if stayed:
                # Others have been elsewhere, and may have answered there without this node.
                self._lost = self._broken = True
                self.era = None
                return False
            # Somebody has come after this node, and waits to hear that it is still here.
            await self._send_renewal()
        if not self.reachable and replaces:
            logger.info("placement store back", extra={"node": self._node.name, "nodes": len(peers)})
        self.reachable = True
        await self._settle(here, era, now, peers)
        for session in graves:
            await release(session.decode(), self.commands, self.client, self._keys)
        if replaces is not None:
            for peer in peers:
                if peer.session != self.session:
                    await self._registrar.greet(peer.channel)
        self._left = min(peer.left for peer in peers)
        self._renewed = time.monotonic()
        return True

    async def _settle(self, here: str, era: str, now: int, peers: Sequence[Peer]) -> None:
        if not era.startswith(here):
            self.era = None
            self._census.begin()
            epoch = here.partition("/")[0]
            if not self._census.is_complete(peers, self._run):
                return
            if self._census.is_first and not await self._is_alone(epoch, now):
                return
            newest = max(peer.generation for peer in peers)
            era = f"{here}{newest + 1}"
            if not await self.commands.run("settle", [self._keys.epoch, self._keys.settled], [epoch, era]):
                return
        if self._broken:
            return
        if self.era is None:
            # Not when it had registered itself: until all had, others may have been with another Redis.
            self._lost = False
            self._registrar.tell()
        self.era = self._known_era = era
        self._census.end(peers)

    async def _is_alone(self, epoch: str, now: int) -> bool:
        """Tell whether there can be no nodes that this one, which has just started, does not know."""
        if time.monotonic() - self._redis_since <= self.ttl + 1:
            # Of a Redis that was restarted they may not know yet.
            return False
        author, _, created = epoch.rpartition("-")
        # Either time has shown that there are none ...
        if now - int(created) > self.ttl * 1000:
            return True
        # ... or this Redis was empty, has run for long, and no other node listens to it.
        listening = await self.client.pubsub_channels(f"{self._keys.prefix}node.*")
        return author == self._instance and len(listening) <= 1

    async def _tend(self) -> None:
        # Not `while True`: redis-py polls its socket with a time-out of 0, which may take a cancellation for its own.
        while self._tending:
            # A lease that runs out is looked at then, not at the next renewal.
            pause = min(self.ttl / 3, max(self._left, 0) + 0.05) if self.era else RETRY_SECONDS
            if self.era:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
            else:
                await asyncio.sleep(pause)
            self._wake.clear()
            try:
                await self.renew()
            except PlacementUnavailable:
                continue
            except Exception:
                logger.exception("lease failed")
                self.fail()

    async def _follow(self) -> None:
        while self._tending:
            await asyncio.sleep(min(FOLLOW_SECONDS, self.ttl / 3))
            try:
                if await has_moved(self.client):
                    # What the former master still answers must not count: others may have left it already.
                    self.fail()
            except Exception:
                logger.exception("lease failed")

    async def _connected(self, connection: Connection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        said = await connection.read_response()
        text = said.decode() if isinstance(said, bytes) else str(said)
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        self._redis_since = time.monotonic() - float(facts.get("uptime_in_seconds", "0"))
        self._take_run(facts.get("run_id", ""))

    def _take_run(self, run: str) -> None:
        if run != self._run:
            # Another Redis, or the same with what it had saved: before any command is answered, nothing is known.
            self._run = run
            self._broken = self._arriving = True
            self.era = None
            self._wake.set()
