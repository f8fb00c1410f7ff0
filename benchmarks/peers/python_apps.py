"""Peers in Python: django-eventstream, sse-starlette and plain Channels, in a virtualenv of their own."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peers.base import Endpoint, Peer, Started, get, post, upgrade
from benchmarks.server import family, free_port, running, scratch

APPS = Path(__file__).resolve().parent / "apps"
LOCK = APPS / "requirements.txt"
VIRTUALENV = machine.BENCH / "peers-venv"


class PythonApp(Peer):
    """A small application in `apps/` on the server that its framework names.

    Args:
        name: The peer's.
        title: For tables.
        module: In `apps/`; its ASGI application is called `application`.
        server: `daphne` or `uvicorn`.
        packages: Whose versions are reported.
        websocket: Whether it has `/ws`.
        topic_parameter: Of the subscriber's query.
        dropped_status: What it answers to a publish without subscribers.
    """

    def __init__(
        self,
        name: str,
        title: str,
        module: str,
        server: str,
        packages: tuple[str, ...],
        *,
        websocket: bool = False,
        topic_parameter: str = "topic",
        dropped_status: int = 200,
    ) -> None:
        super().__init__()
        self.name, self.title = name, title
        self._module, self._server, self._packages = module, server, packages
        self._websocket, self._topic_parameter, self._dropped_status = websocket, topic_parameter, dropped_status
        if not websocket:
            self.leaves_out = {"websocket-1000": "it has no WebSocket"}

    def missing(self) -> str | None:
        """Make the virtualenv."""
        stamp = VIRTUALENV / ".installed"
        if stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
            return None
        steps: list[list[str]] = [
            [sys.executable, "-m", "venv", "--clear", str(VIRTUALENV)],
            [str(VIRTUALENV / "bin" / "pip"), "install", "--quiet", "--require-hashes", "-r", str(LOCK)],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"its packages could not be installed: {done.stderr.strip()[-300:]}"
        stamp.write_bytes(LOCK.read_bytes())
        return None

    def version(self) -> str:
        """Return the versions that the lock names."""
        pins = dict(
            line.split()[0].split("==") for line in LOCK.read_text().splitlines() if "==" in line and line[0].isalnum()
        )
        return ", ".join(f"{package} {pins[package]}" for package in (*self._packages, self._server))

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it."""
        port = free_port()
        target = f"{self._module}:application"
        more: dict[str, Any] = {
            "publish_status": [200],
            "dropped_status": [self._dropped_status],
            "probe_target": "/health",
        }
        if self._server == "daphne":
            # It listens with a backlog of 50: of thousands at once it resets some. And a round can take it seconds.
            more |= {"opening_at_most": 50, "warm_up_rounds": 2}
            arguments = ["daphne", "--bind", "127.0.0.1", "--port", str(port), "--verbosity", "0", target]
        else:
            arguments = ["uvicorn", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
            arguments += ["--no-access-log", "--backlog", "4096", "--timeout-keep-alive", "3600", target]
        command = [str(VIRTUALENV / "bin" / arguments[0]), *arguments[1:]]
        with (
            scratch() as folder,
            running(command, folder=folder, port=port, environment={"PYTHONPATH": str(APPS)}, cwd=folder) as pid,
        ):
            yield Endpoint(
                address=f"127.0.0.1:{port}",
                pids=family(pid),
                subscribe=get(f"/sse?{self._topic_parameter}={{topic}}", ("accept", "text/event-stream")),
                websocket=upgrade("/ws?topic={topic}") if self._websocket else None,
                publish=post("/publish", ("x-sse-topic", "{topic}"), ("content-type", "text/plain")),
                more=more,
            )
