"""A real Redis as a child process, with nothing saved."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Sequence

import pytest

from tests.server_process import ServerProcess, free_port

BINARY = shutil.which("redis-server")

needs_redis = pytest.mark.skipif(BINARY is None, reason="not run: redis-server is not installed")


class RedisServer(ServerProcess):
    """One ``redis-server``; started again it has its port, and by default nothing else.

    Args:
        host: the address at which this process reaches it.
        port: the port to listen on; 0 takes a port that is free on loopback.
        inside: a command that runs Redis as itself, such as ``ip netns exec NAME``.
        arguments: more of the server's own.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        inside: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.host, self.port = host, port or free_port(host)
        self.url = f"redis://{host}:{self.port}/0"
        self.arguments = tuple(arguments)
        """Taken at the next start."""
        self._inside = tuple(inside)

    def options(self) -> list[str]:
        """The server's arguments."""
        return [
            *("--port", str(self.port), "--bind", self.host, "--save", "", "--appendonly", "no"),
            *("--dir", str(self.folder), "--loglevel", "warning", *self.arguments),
        ]

    def launch(self) -> subprocess.Popen[bytes]:
        if BINARY is None:
            pytest.skip("not run: redis-server is not installed")
        return subprocess.Popen(
            [*self._inside, BINARY, *self.options()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False
