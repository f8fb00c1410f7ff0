"""The nodes that live, as the table in Redis has them. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from topics.placement.base import Node


@dataclass(frozen=True, slots=True)
class Peer:
    """A node that lives, this one included.

    Attributes:
        left: Seconds of its lease that are left.
        instance: Its process, whatever session it registers under.
        run: The run of Redis in which it registered.
        generation: Of the newest era that it has known.
        channel: Where it listens.
        counters: As of its last renewal, as is what follows.
        rates: Their growth per second.
    """

    session: str
    left: float
    node: Node
    instance: str
    run: str
    generation: int
    channel: str
    ttl: float
    draining: bool
    counters: dict[str, int]
    rates: dict[str, float]


def info_of(node: Node, *, instance: str, run: str, generation: int, ttl: float, described: Mapping[str, Any]) -> str:
    """Return what the table says of a node; `peer_of` reads it.

    Args:
        node: Which.
        instance: Its process.
        run: The run of Redis in which it registers.
        generation: Of the newest era that it has known.
        ttl: Seconds after which it counts as dead when it is silent.
        described: `channel`, `draining`, `counters` and `rates`.
    """
    registered = {"instance": instance, "run": run, "generation": generation, "ttl": ttl}
    return json.dumps({**asdict(node), **registered, **described})


def peer_of(session: str, left_ms: float, info: bytes) -> Peer:
    """Read a row of the table of nodes."""
    said = json.loads(info)
    node = Node(said["name"], said["host"], said["since"], said["version"], said["port"])
    return Peer(
        session=session,
        left=left_ms / 1000,
        node=node,
        instance=said["instance"],
        run=said["run"],
        generation=said["generation"],
        channel=said["channel"],
        ttl=said["ttl"],
        draining=said["draining"],
        counters=said["counters"],
        rates=said["rates"],
    )


def generation_of(era: str) -> int:
    """Return which era it is, counted over all that nodes have known: 0 when it is none."""
    return int(era.rpartition("/")[2] or 0)
