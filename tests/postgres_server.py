"""A real PostgreSQL as a child process, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import psutil
import psycopg
import pytest


def _binary(name: str) -> Path | None:
    # Debian leaves the server's programs out of PATH.
    found = shutil.which(name)
    if found:
        return Path(found).resolve()
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return installed[-1] if installed else None


BINARY = _binary("postgres")

needs_postgres = pytest.mark.skipif(
    BINARY is None, reason="not run: PostgreSQL is not installed (apt-get install postgresql-15)"
)


class PostgresServer:
    """One ``postgres``; it keeps its port and its data when it is started again. It does not run as root."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="postgres-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"postgres://gateway@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        self._user: str | None = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(self._folder.name, self._user)

    def create(self) -> None:
        """Make the cluster, empty."""
        if BINARY is None:
            pytest.skip("not run: PostgreSQL is not installed")
        subprocess.run(
            [BINARY.with_name("initdb"), "-D", self.data, "-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            user=self._user,
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        )

    @property
    def data(self) -> Path:
        """Its data directory."""
        return Path(self._folder.name) / "data"

    def start(self) -> Self:
        """Start it with the data that it has, and wait until it answers."""
        if not self.data.exists():
            self.create()
        assert BINARY is not None
        self._process = subprocess.Popen(
            [
                *(BINARY, "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                *("-c", "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "log_min_messages=fatal"),
            ],
            user=self._user,
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.Error:
                assert self._process.poll() is None, "postgres ended"
                assert time.monotonic() < deadline, "postgres does not answer"
                time.sleep(0.02)
            else:
                return self

    def kill(self) -> None:
        """End it at once, as in a crash: without SIGQUIT its own processes would outlive it for a moment."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
            self._process = None

    @property
    def running(self) -> bool:
        """Whether it has been started and not killed."""
        return self._process is not None

    def freeze(self) -> None:
        """Stop it where it is, with all its processes (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        server.send_signal(number)
        # Those that serve a connection which was just closed end by themselves, also between these lines.
        for process in server.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._folder.cleanup()
