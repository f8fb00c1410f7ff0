"""Two hosts on this machine, with a cable that can be pulled (Linux network namespaces)."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_NAMESPACES = Path("/run/netns")


class NotAllowed(Exception):
    """This machine lets this process make no network namespaces; the message says why."""


def ip(*arguments: str) -> None:
    """Run ``ip``; raises NotAllowed when it fails."""
    if shutil.which("ip") is None:
        raise NotAllowed("the program ip is missing (apt-get install iproute2)")
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotAllowed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Host:
    """A network namespace with one interface."""

    name: str
    interface: str
    address: str

    @property
    def inside(self) -> list[str]:
        """The command that runs another one on this host."""
        return ["ip", "netns", "exec", self.name]

    def connect(self, address: tuple[str, int]) -> socket.socket:
        """A connection from this host."""
        made: list[socket.socket | OSError] = []

        def enter_and_connect() -> None:
            # A thread can be in another namespace than its process, and a socket stays where it was made.
            with (_NAMESPACES / self.name).open() as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                made.append(socket.create_connection(address, timeout=5))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=enter_and_connect)
        thread.start()
        thread.join()
        (result,) = made
        if isinstance(result, OSError):
            raise result
        return result

    def pull_cable(self) -> None:
        """Let no packet through any more, in either direction, and tell nobody."""
        ip("-n", self.name, "link", "set", self.interface, "down")

    def fall_silent(self) -> None:
        """Take no notice of packets any more, as a host does that has crashed; the link stays up."""
        ip("-n", self.name, "address", "flush", "dev", self.interface)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other and nothing else; raises NotAllowed."""
    mark = f"{os.getpid():x}"[-6:]
    hosts = tuple(Host(f"gw-test-{mark}-{side}", f"gw{mark}{side}", f"10.99.0.{side}") for side in (1, 2))
    made: list[Host] = []
    try:
        for host in hosts:
            ip("netns", "add", host.name)
            made.append(host)
        first, second = hosts
        ip(
            *("link", "add", first.interface, "netns", first.name, "type", "veth"),
            *("peer", "name", second.interface, "netns", second.name),
        )
        for host in hosts:
            ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", host.interface)
            for interface in ("lo", host.interface):
                ip("-n", host.name, "link", "set", interface, "up")
        yield first, second
    finally:
        for host in made:
            ip("netns", "delete", host.name)
