"""A person who follows a page from its first block to its last, and types all that it says."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from tests.documents.blocks import INTERRUPT, Block, Step, read
from tests.documents.page import Browser
from tests.documents.terminal import SECONDS, Terminal
from tests.e2e.browser import CHROMIUM
from tests.gateway import ROOT, inherited_environment
from tests.server_process import free_port

KEY = "the-key-that-was-printed"
_PORT = re.compile(r"(?P<before>127\.0\.0\.1:|localhost:|--port )(?P<port>\d{4})\b")
_GATEWAY = re.compile(r"manage\.py (runserver|serve)\b")
_WORKER = "make worker-dev"
_KEEPS_RUNNING = re.compile(
    rf"manage\.py (runserver|serve|subscribe|tail)\b|^redis-server |\bcurl\b.* -N\b|^{_WORKER}\b"
)


class Reader:
    """Follows pages; ports are free ones, and the key is that of the gateway that runs.

    Args:
        scratch: A folder for what pages keep in /tmp.
    """

    def __init__(self, scratch: Path) -> None:
        self.key = KEY
        self._scratch = scratch
        self._ports: dict[str, str] = {}
        self._exports: list[str] = []
        self._terminals: dict[str, Terminal] = {}
        self._page: Browser | None = None
        self._environment = inherited_environment() | {
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def follow(self, page: Path, not_here: frozenset[str] = frozenset()) -> None:
        """Do what a page says.

        Args:
            page: Its file.
            not_here: Commands that other tests run.
        """
        for block in read(page):
            try:
                self._do(block, not_here)
            except AssertionError as error:
                raise AssertionError(f"{page}:{block.line}: {error}") from error

    def close(self) -> None:
        """Leave nothing running, and look how the gateways ended."""
        if self._page is not None:
            self._page.close()
        errors = []
        for name in list(self._terminals):
            try:
                self._interrupt(name)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)

    def typed(self, text: str) -> str:
        """Return what a page says with the ports, files and the key of this reader."""
        text = text.replace("--bind 0.0.0.0", "--bind 127.0.0.1")
        text = _PORT.sub(lambda found: found["before"] + self._port(found["port"]), text)
        return text.replace(KEY, self.key).replace("/tmp/", f"{self._scratch}/")  # noqa: S108 - it is the pages' own

    def run(self, command: str, name: str) -> Terminal:
        """Type a command that keeps running, and wait until it is there."""
        command = self._command(command)
        if name in self._terminals:
            self._interrupt(name)
        terminal = Terminal("\n".join([*self._exports, command]), ROOT, self._environment)
        self._terminals[name] = terminal
        if _GATEWAY.search(command):
            port = re.search(r"(?:--port|runserver) (\d+)", command)
            assert port is not None, command
            self._wait_for(f"http://127.0.0.1:{port[1]}/health", terminal)
            self._take_key(terminal)
        elif command.startswith(_WORKER):
            self._wait_for(f"http://127.0.0.1:{self._port('8000')}/health", terminal)
            self._take_key(terminal)
        elif command.startswith("redis-server"):
            terminal.shows(re.compile("Ready to accept connections"))
        return terminal

    def once(self, command: str) -> str:
        """Type a command that ends, and return what it printed."""
        done = subprocess.run(
            ["bash", "-c", "\n".join([*self._exports, self._command(command)])],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.replace("\r", "")

    def _do(self, block: Block, not_here: frozenset[str]) -> None:
        if block.language == "html":
            if CHROMIUM.exists():
                file = self._scratch / "page.html"
                file.write_text(self.typed(block.text), encoding="utf-8")
                self._page = Browser(file)
            return
        assert block.language in ("console", "text"), f"nobody runs {block.language!r}"
        for step in block.steps:
            if step.typed not in not_here:
                self._take(step, block.terminal)

    def _take(self, step: Step, name: str) -> None:
        if step.typed == INTERRUPT:
            self._interrupt(name)
        elif not step.typed:
            if name == "page":
                if self._page is not None:
                    self._page.shows(step.pattern)
            else:
                self._terminals[name].shows(step.pattern)
        elif step.typed.startswith("export "):
            self._exports.append(self.typed(step.typed))
        elif _KEEPS_RUNNING.search(self._command(step.typed)):
            self.run(step.typed, name or step.typed).shows(step.pattern)
        else:
            printed = self.once(step.typed)
            deadline = time.monotonic() + SECONDS
            while not step.pattern.search(printed) and " -d " not in step.typed and time.monotonic() < deadline:
                # A person takes a moment longer than a test until what was done before is there to be seen.
                time.sleep(0.05)
                printed = self.once(step.typed)
            assert step.pattern.search(printed), f"{step.typed}: no {step.pattern.pattern!r} in:\n{printed}"
            assert "problems/" in step.output or "problems/" not in printed, f"{step.typed}:\n{printed}"

    def _command(self, text: str) -> str:
        """Return a command as it is run here: without making the environment that already runs this test."""
        if "make run" in text:
            port = self._port("8000")
            recipe = subprocess.run(
                ["make", "--dry-run", "--no-print-directory", "run", f"PORT={port}"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()[-1]
            command = recipe.removeprefix("exec ")
            assert command == f".venv/bin/python manage.py runserver {port}"
            text = text.replace("make run", command)
        if text == _WORKER:
            # Objects of its own: those of whoever works on the Worker are none of this test's business.
            text += f" PORT={self._port('8000')} ARGS='--persist-to {self._scratch}/objects --inspector-port 0'"
        return self.typed(text).replace(".venv/bin/python", shlex.quote(sys.executable))

    def _take_key(self, terminal: Terminal) -> None:
        if made := re.search(r"^API key.*: (\S+)$", terminal.text, re.MULTILINE):
            self.key = made[1]

    def _port(self, port: str) -> str:
        if port not in self._ports:
            self._ports[port] = str(free_port())
        return self._ports[port]

    def _interrupt(self, name: str) -> None:
        terminal = self._terminals.pop(name)
        members = terminal.members()
        code = terminal.interrupt()
        if _GATEWAY.search(terminal.command):
            assert code == 0, f"{terminal.command}: {code}\n{terminal.text}"
            assert "Traceback" not in terminal.text, terminal.text
        left = [each for each in members if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        assert not left, f"{terminal.command} left {left}"

    def _wait_for(self, url: str, terminal: Terminal) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(url, trust_env=False).raise_for_status()
                return
            assert terminal.process.poll() is None, terminal.text
            assert time.monotonic() < deadline, terminal.text
            time.sleep(0.05)
