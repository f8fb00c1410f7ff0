"""The hosts of one world as network namespaces: three for nodes, one for Redis, and one for all clients."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.network import NotAllowed, ip

NODES = (1, 2, 3)
REDIS = 254
CUTS = ("node down", "switch down", "answers lost", "commands lost")
"""How a link is cut: at the node's end or at the switch's, both ways; or for packets of one direction only."""

_CLONE_NEWNET = 0x40000000
_NAMESPACES = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Host:
    """One network namespace.

    Args:
        name: of the namespace.
        inner: its address on the way between nodes and Redis.
        outer: its address on the way to clients, which no fault touches.
    """

    name: str
    inner: str
    outer: str

    @property
    def inside(self) -> list[str]:
        """The command that runs another one on this host."""
        return ["ip", "netns", "exec", self.name]


@dataclass(frozen=True, slots=True)
class Hosts:
    """One world's.

    Args:
        nodes: three, by their numbers.
        redis: where Redis and its sentinels run; the switch is here.
    """

    nodes: dict[int, Host]
    redis: Host

    def cut(self, number: int, how: str) -> None:
        """Cut node *number* off from Redis in one of the ways of ``CUTS``."""
        node = self.nodes[number]
        match how:
            case "node down":
                ip("-n", node.name, "link", "set", "inner", "down")
            case "switch down":
                ip("-n", self.redis.name, "link", "set", f"port{number}", "down")
            case "answers lost":
                ip("-n", self.redis.name, "route", "add", "blackhole", f"{node.inner}/32")
            case _:
                ip("-n", node.name, "route", "add", "blackhole", f"{self.redis.inner}/32")

    def heal(self, number: int, how: str) -> None:
        """Undo ``cut``."""
        node = self.nodes[number]
        match how:
            case "node down":
                ip("-n", node.name, "link", "set", "inner", "up")
            case "switch down":
                ip("-n", self.redis.name, "link", "set", f"port{number}", "up")
            case "answers lost":
                ip("-n", self.redis.name, "route", "del", "blackhole", f"{node.inner}/32")
            case _:
                ip("-n", node.name, "route", "del", "blackhole", f"{self.redis.inner}/32")


@contextmanager
def client_host() -> Iterator[str]:
    """A host that this thread is on from now on, with the threads and processes that it starts; raises NotAllowed."""
    name = f"gw-chaos-{os.getpid():x}-clients"
    with ExitStack() as stack:
        _add(stack, name)
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        stack.callback(os.close, before)
        with (_NAMESPACES / name).open() as namespace:
            _enter(namespace.fileno())
        stack.callback(_enter, before)
        yield name


@contextmanager
def hosts(world: int, clients: str) -> Iterator[Hosts]:
    """The hosts of world number *world*, each with a link to the host *clients*; raises NotAllowed."""
    mark = f"gw-chaos-{os.getpid():x}-{world}"
    redis = Host(f"{mark}r", f"10.97.{world}.{REDIS}", _outer(world, REDIS % 10))
    nodes = {number: Host(f"{mark}n{number}", f"10.97.{world}.{number}", _outer(world, number)) for number in NODES}
    with ExitStack() as stack:
        for host in (redis, *nodes.values()):
            _add(stack, host.name)
        _forget_the_dead(redis)
        ip("-n", redis.name, "link", "add", "switch", "type", "bridge")
        ip("-n", redis.name, "address", "add", f"{redis.inner}/24", "dev", "switch")
        ip("-n", redis.name, "link", "set", "switch", "up")
        for number, node in nodes.items():
            _link(node.name, "inner", redis.name, f"port{number}")
            ip("-n", node.name, "address", "add", f"{node.inner}/24", "dev", "inner")
            ip("-n", redis.name, "link", "set", f"port{number}", "master", "switch")
        for number, host in {**nodes, REDIS % 10: redis}.items():
            near = f"world{world}host{number}"
            _link(host.name, "outer", clients, near)
            # Links between namespaces live a moment longer than the namespaces do; this end belongs to another's.
            stack.callback(_remove_link, clients, near)
            ip("-n", host.name, "address", "add", f"{host.outer}/24", "dev", "outer")
            ip("-n", clients, "address", "add", f"{host.outer.removesuffix('2')}1/24", "dev", near)
        yield Hosts(nodes, redis)


def _outer(world: int, number: int) -> str:
    return f"10.98.{10 * world + number}.2"


def _add(stack: ExitStack, name: str) -> None:
    ip("netns", "add", name)
    stack.callback(ip, "netns", "delete", name)
    ip("-n", name, "link", "set", "lo", "up")


def _link(first: str, one_end: str, second: str, other_end: str) -> None:
    ip(
        *("link", "add", one_end, "netns", first, "type", "veth"),
        *("peer", "name", other_end, "netns", second),
    )
    ip("-n", first, "link", "set", one_end, "up")
    ip("-n", second, "link", "set", other_end, "up")


def _forget_the_dead(host: Host) -> None:
    """Have the host send soon no more of what a killed process had written: with a whole host it would be gone."""
    setting = "echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries"
    subprocess.run([*host.inside, "sh", "-c", setting], check=True)


def _remove_link(host: str, name: str) -> None:
    # The other end may have taken it along.
    try:
        ip("-n", host, "link", "delete", name)
    except NotAllowed:
        return


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise NotAllowed(f"setns: {os.strerror(ctypes.get_errno())}")
