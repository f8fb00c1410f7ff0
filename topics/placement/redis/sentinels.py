"""Where the master is, as its sentinels say: all of them are asked, and the newest that was ever heard is believed."""

import asyncio
from dataclasses import dataclass
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from topics.placement.redis.commands import UNREACHABLE


@dataclass(slots=True)
class Belief:
    """What one node believes, the same for all of its connections.

    Attributes:
        address: Host and port of the master; None before any was heard of.
        epoch: Of the sentinels' configuration that named it: it grows with each failover.
    """

    address: tuple[str, int] | None = None
    epoch: int = -1


class Sentinels(Sentinel):
    """The sentinels of one master, all of them asked.

    redis-py believes the first that answers. One that was cut off, or has not heard of a failover yet, names the former
    master, which for some time after its return takes writes as if nothing had happened.

    Args:
        addresses: Hosts and ports.
        belief: Of this node.
        options: Of the connections to them.
    """

    def __init__(self, addresses: tuple[tuple[str, int], ...], belief: Belief, options: dict[str, Any]) -> None:
        super().__init__(list(addresses), sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        self._belief = belief

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the master's host and port.

        Args:
            service_name: What the sentinels call it.

        Raises:
            MasterNotFoundError: No sentinel can be reached, the master is known to be away, or what is heard is older
                than what was, and not all say so.
        """
        asked = (_ask(sentinel, service_name) for sentinel in self.sentinels)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = [answer for answer in answers if isinstance(answer, tuple)]
        newest = max((epoch for epoch, _, _ in found), default=-1)
        # Sentinels that were set up anew count from the beginning; otherwise one of them has only not heard yet.
        if newest >= self._belief.epoch or len(found) == len(self.sentinels):
            for epoch, address, is_well in found:
                # The former master may be alive, and the sentinel that still names it content.
                if epoch == newest and is_well:
                    self._belief.address, self._belief.epoch = address, epoch
                    return address
        raise MasterNotFoundError(f"No sentinel knows a master {service_name!r} that answers.")


class MasterPool(SentinelConnectionPool):
    """Connections to the master alone: redis-py would use one again that was busy when another was named."""

    async def get_master_address(self) -> tuple[str, int]:
        """Return the master's host and port, and let go of connections to a former one.

        Raises:
            MasterNotFoundError: See `Sentinels`.
        """
        before = self.master_address
        address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        if address != before:
            for connection in self._in_use_connections:
                if connection.is_connected:
                    connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
        return address

    def must_be_to_master(self, connection: Connection) -> None:
        """Raise `ConnectionError` of redis-py when another master was named while a connection was made."""
        if self.master_address != (connection.host, connection.port):
            raise exceptions.ConnectionError("Another master was named while the connection to this one was made.")


class Followed:
    """In the place of sentinels for connections that go where the node's others have gone.

    Args:
        belief: Of this node.
    """

    def __init__(self, belief: Belief) -> None:
        self._belief = belief

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the master's host and port.

        Raises:
            MasterNotFoundError: None was heard of yet.
        """
        if self._belief.address is None:
            raise MasterNotFoundError(f"No sentinel has named a master {service_name!r} yet.")
        return self._belief.address


async def has_moved(client: Redis) -> bool:
    """Tell whether the sentinels name another master than the one that a client is connected to.

    Its next connection is then one to the other. Sentinels that do not answer, or know of none, move nobody.
    """
    pool = client.connection_pool
    if not isinstance(pool, MasterPool):
        return False
    before = pool.master_address
    try:
        return before not in (None, await pool.get_master_address())
    except UNREACHABLE:
        return False


async def _ask(sentinel: Redis, name: str) -> tuple[int, tuple[str, int], bool]:
    state: dict[str, Any] = await sentinel.execute_command("SENTINEL MASTER", name)  # type: ignore[no-untyped-call]
    # In a failover this is the new master already, while the state is still that of the former.
    address: Any = await sentinel.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", name)  # type: ignore[no-untyped-call]
    host, port = address[0].decode(), int(address[1])
    is_promoted = (host, port) != (state["ip"], state["port"])
    is_well = is_promoted or (state["is_master"] and not state["is_sdown"] and not state["is_odown"])
    return state["config-epoch"], (host, port), is_well
