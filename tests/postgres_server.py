"""A real PostgreSQL as a child process, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.server_process import ServerProcess, free_port


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


class PostgresServer(ServerProcess):
    """One ``postgres``; it keeps its port and its data when it is started again. It does not run as root."""

    end = signal.SIGQUIT  # Without it its own processes would outlive it for a moment.

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"postgres://gateway@127.0.0.1:{self.port}/postgres"
        self._user: str | None = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(self.folder, self._user)

    def create(self) -> None:
        """Make the cluster, empty."""
        if BINARY is None:
            pytest.skip("not run: PostgreSQL is not installed")
        subprocess.run(
            [BINARY.with_name("initdb"), "-D", self.data, "-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        )

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    def launch(self) -> subprocess.Popen[bytes]:
        if not self.data.exists():
            self.create()
        assert BINARY is not None
        return subprocess.Popen(
            [
                *(BINARY, "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                *("-c", "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "log_min_messages=fatal"),
            ],
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def kill(self) -> None:
        if self.running:
            self.thaw()
        super().kill()

    def send(self, number: signal.Signals) -> None:
        server = psutil.Process(self.pid)
        server.send_signal(number)
        # Those that serve a connection which was just closed end by themselves, also between these lines.
        for process in server.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
