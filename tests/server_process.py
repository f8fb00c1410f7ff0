"""A server that is not the gateway, as a child process that tests freeze, kill and start again."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

START_SECONDS = 60.0
"""Only a server that hangs takes so long, whatever else the machine does."""
KILL_SECONDS = 20.0


def free_port(host: str = "127.0.0.1") -> int:
    """A port of an address of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class ServerProcess(ABC):
    """One server with a folder of its own; started again, it is where it was.

    A kind of server says how it is launched, and when it answers.
    """

    end = signal.SIGKILL
    """What ends it at once, with all that it has started."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"{type(self).__name__.lower()}-")
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Start its process."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be used; asked again and again while it starts."""

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self._process = self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self._process.poll() is None, f"{self} ended with {self._process.returncode}"
            assert time.monotonic() < deadline, f"{self} does not answer"
            time.sleep(0.01)
        return self

    def __str__(self) -> str:
        return type(self).__name__

    @property
    def _child(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self} is not started"
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def folder(self) -> Path:
        """Its working directory."""
        return Path(self._folder.name)

    @property
    def running(self) -> bool:
        """Whether it has been started and not killed."""
        return self._process is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, and to all that it has started."""
        self._child.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as in a crash."""
        if self._process is not None:
            self._process.send_signal(self.end)
            self._process.communicate(timeout=KILL_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._folder.cleanup()
