"""A real gateway as a child process, for every test that needs a whole one."""

from __future__ import annotations

import atexit
import functools
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 100.0
"""Only a gateway that hangs takes so long: the first start compiles all modules, which has taken 40 s where fifteen
other processes wanted the two processors. Shorter than a test may take, so that it is told what the gateway printed."""
LOG_SECONDS = 30.0
STOP_SECONDS = 15.0

LogLine = dict[str, Any]


@functools.cache
def _bytecode() -> str:
    folder = tempfile.mkdtemp(prefix="bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def inherited_environment() -> dict[str, str]:
    """This process's environment for a child that is a gateway, without ``GATEWAY_*`` and without a ``.env``."""
    child = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    child["SSE_GATEWAY_DOTENV"] = os.devnull
    if child.pop("PYTHONDONTWRITEBYTECODE", None):
        # Compiling all modules at each start would take three quarters of it: keep them for this run.
        child.setdefault("PYTHONPYCACHEPREFIX", _bytecode())
    return child


def migrate(database_url: str) -> None:
    """Make the history's tables: ``manage.py migrate``."""
    store = {"GATEWAY_API_KEYS": "unused", "GATEWAY_HISTORY_STORE": "database", "GATEWAY_DATABASE_URL": database_url}
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env=inherited_environment() | store,
        stdin=subprocess.DEVNULL,
        check=True,
    )


STARTED: list[RunningGateway] = []
"""Those whose logs a test that fails shows."""


class GatewayFailed(Exception):
    """The gateway did not do what a test waited for; the message ends with its log."""


class RunningGateway:
    """``manage.py serve`` on a free port of loopback, with a key made for this run.

    Settings are given by their names without ``GATEWAY_``, in any case: ``RunningGateway(outbox_events=4)``.
    The environment's own ``GATEWAY_*`` variables do not reach the child.

    Args:
        server: the server to run under, ``daphne`` or ``uvicorn``.
        environment: more variables for the child, with their whole names; None takes one away.
        bind: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        inside: a command that runs the gateway as itself, such as ``ip netns exec NAME``.
        arguments: more of them for ``serve``.
        settings: gateway settings.

    Raises:
        GatewayFailed: it did not listen within START_SECONDS, or it ended before; the message has all that it printed.
    """

    def __init__(
        self,
        server: str = "daphne",
        environment: Mapping[str, str | None] | None = None,
        *,
        bind: str = "127.0.0.1",
        port: int = 0,
        inside: Sequence[str] = (),
        arguments: Sequence[str] = (),
        **settings: object,
    ) -> None:
        self.server = server
        self.command = [*inside, sys.executable, str(ROOT / "manage.py"), "serve", "--server", server]
        self.command += ["--bind", bind, "--port", str(port), *arguments]
        self.key = secrets.token_urlsafe(24)
        self.url = ""
        self.lines: list[str] = []
        """All that the child has written, as text."""
        self.logs: list[LogLine] = []
        """The lines that are JSON objects."""
        self._news = threading.Condition()
        self._ended = False
        self._environment = self._child_environment(environment or {}, settings)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def _child_environment(
        self, environment: Mapping[str, str | None], settings: Mapping[str, object]
    ) -> dict[str, str]:
        child: dict[str, str | None] = {**inherited_environment()}
        child |= {"PYTHONUNBUFFERED": "1", "GATEWAY_API_KEYS": self.key, "GATEWAY_LOG_FORMAT": "json"}
        child |= {f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
        child |= environment
        return {name: value for name, value in child.items() if value is not None}

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def _child(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise GatewayFailed("the gateway has not been started")
        return self._process

    def start(self) -> Self:
        """Start the child and wait until it listens."""
        self._process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        STARTED.append(self)
        self._reader = threading.Thread(target=self._read_log, name="gateway log", daemon=True)
        self._reader.start()
        began = time.monotonic()
        try:
            self.url = str(self.wait_for_log("listening", timeout=START_SECONDS)["url"])
        except GatewayFailed:
            took, code = time.monotonic() - began, self.stop()
            # What it printed is whole only now: a line that it had not ended counts too.
            raise GatewayFailed(
                f"{shlex.join(self.command)} did not listen within {took:.1f} s, and ended with {code}; "
                f"it printed:\n{self.log or '(nothing)'}"
            ) from None
        except BaseException:
            self.stop()
            raise
        return self

    def _read_log(self) -> None:
        stream = self._child.stdout
        assert stream is not None
        for line in stream:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                if (entry := _as_object(line)) is not None:
                    self.logs.append(entry)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for_log(
        self,
        event: str,
        *,
        timeout: float = LOG_SECONDS,
        matching: Callable[[LogLine], bool] | None = None,
    ) -> LogLine:
        """The first log line with *event* (and *matching* true of it), waited for at most *timeout* seconds.

        Raises:
            GatewayFailed: there was none in time, or the gateway ended without it.
        """
        deadline = time.monotonic() + timeout
        seen = 0
        with self._news:
            while True:
                for entry in self.logs[seen:]:
                    if entry.get("event") == event and (matching is None or matching(entry)):
                        return entry
                seen = len(self.logs)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    how = "ended without" if self._ended else f"in {timeout:g} s did not write"
                    raise GatewayFailed(f"the gateway {how} the log event {event!r}; its log:\n{self.log}")
                self._news.wait(left)

    @property
    def log(self) -> str:
        """All that the child has written."""
        return "\n".join(self.lines)

    @property
    def errors(self) -> list[str]:
        """What should never be there: lines that are no log lines, and those of level error or above."""
        return [line for line in self.lines if _is_error(_as_object(line))]

    @property
    def running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._child.poll() is None

    def terminate(self) -> None:
        """Ask the child to end (SIGTERM), without waiting for it."""
        if self.running:
            self._child.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """The exit code, once the child has ended by itself; raises subprocess.TimeoutExpired."""
        return self._child.wait(timeout)

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """End the child: SIGTERM, and SIGKILL when it is still there after *timeout* seconds.

        Returns:
            The exit code, negative for a signal: -9 says that it had to be killed.
        """
        self.terminate()
        try:
            code = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
        if self._child.stdout is not None:
            self._child.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _as_object(line: str) -> LogLine | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_error(entry: LogLine | None) -> bool:
    return entry is None or entry.get("level") in {"error", "critical"} or "exception" in entry
