"""A real Redis as a child process, with nothing saved."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

BINARY = shutil.which("redis-server")

needs_redis = pytest.mark.skipif(BINARY is None, reason="not run: redis-server is not installed")


class RedisServer:
    """One ``redis-server``; it keeps its port when it is started again.

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
        self.host, self.port = host, port
        if not port:
            with socket.socket() as probe:
                probe.bind((host, 0))
                self.port = int(probe.getsockname()[1])
        self.url = f"redis://{host}:{self.port}/0"
        self.arguments = tuple(arguments)
        """Taken at the next start."""
        self._inside = tuple(inside)
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def options(self) -> list[str]:
        """The server's arguments."""
        return [
            *("--port", str(self.port), "--bind", self.host, "--save", "", "--appendonly", "no"),
            *("--dir", str(self.folder), "--loglevel", "warning", *self.arguments),
        ]

    def start(self) -> Self:
        """Start it empty, and wait until it answers."""
        if BINARY is None:
            pytest.skip("not run: redis-server is not installed")
        self._process = subprocess.Popen(
            [*self._inside, BINARY, *self.options()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection((self.host, self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return self
            except OSError:
                pass
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once; all that it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def folder(self) -> Path:
        """Its working directory."""
        return Path(self._folder.name)

    @property
    def running(self) -> bool:
        """Whether it has been started and not killed."""
        return self._process is not None

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._folder.cleanup()
