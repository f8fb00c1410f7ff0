"""README's quick start, word for word, against ``manage.py runserver`` as ``make run`` starts it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.gateway import ROOT, inherited_environment

SECONDS = 20.0
README = (ROOT / "README.md").read_text("utf-8")
README_URL = "http://127.0.0.1:8000"
README_KEY = "the-key-that-was-printed"
CHROMIUM = Path("/usr/bin/chromium")


@dataclass(frozen=True)
class Block:
    """A fenced block of the quick start."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What a person types."""
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]

    @property
    def output(self) -> re.Pattern[str]:
        """What README says comes; ``…`` stands for anything within a line."""
        lines = [line for line in self.text.splitlines() if not line.startswith("$ ")]
        return re.compile("\n".join(".*".join(map(re.escape, line.split("…"))) for line in lines))


def quick_start() -> list[Block]:
    section = README.partition("\n## Quick start\n")[2].partition("\n## ")[0]
    return [Block(language, text) for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S)]


class Terminal:
    """A child process in a process group of its own, with what it has printed so far."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.text = ""
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # curl's progress meter is of no interest.
            stderr=subprocess.DEVNULL if "curl" in command[-1] else subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            bufsize=1,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while piece := self._process.stdout.readline():
            with self._news:
                self.text += piece
                self._news.notify_all()

    def shows(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait until *pattern* has been printed."""
        deadline = time.monotonic() + SECONDS
        with self._news:
            while not (found := pattern.search(self.text)):
                left = deadline - time.monotonic()
                assert left > 0, f"no {pattern.pattern!r} in:\n{self.text}"
                self._news.wait(left)
        return found

    def interrupt(self) -> int:
        """Control-C: SIGINT to the whole group; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            return self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise
        finally:
            self._reader.join(5)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def members(self) -> list[psutil.Process]:
        """The process and its children."""
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Running:
    url: str
    key: str
    first_steps: dict[str, str]
    """What it has printed to be pasted, by the word before it."""

    def typed(self, command: str) -> str:
        """A command of README, for this run's port and key."""
        return command.replace(README_URL, self.url).replace(README_KEY, self.key)


def environment() -> dict[str, str]:
    return inherited_environment() | {
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    """``make run``, without setting up the environment that already runs this test."""
    port = free_port()
    recipe = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "run", f"PORT={port}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]
    command = shlex.split(recipe.removeprefix("exec "))
    assert command == [".venv/bin/python", "manage.py", "runserver", str(port)]
    terminal = Terminal([sys.executable, *command[1:]], environment())
    try:
        key = terminal.shows(re.compile(r"^API key.*: (\S+)$", re.M))[1]
        terminal.shows(re.compile(rf"Starting ASGI.* server at .*:{port}/"))
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/health", trust_env=False).raise_for_status()
                break
            assert time.monotonic() < deadline, terminal.text
            time.sleep(0.1)
        yield Running(url, key, dict(re.findall(r"^(Subscribe|Publish|Dashboard): +(.*)$", terminal.text, re.M)))
    finally:
        members = terminal.members()
        code = terminal.interrupt()
    assert code == 0, terminal.text
    assert "Traceback" not in terminal.text, terminal.text
    assert not [process for process in members if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_the_quick_start_word_for_word(gateway: Running) -> None:
    blocks = quick_start()
    assert len([block for block in blocks if block.commands]) >= 3
    exports: list[str] = []
    streams: list[Terminal] = []
    try:
        for block in blocks:
            if block.language == "html":
                continue
            if not block.commands:
                # What the subscriber's terminal shows.
                streams[0].shows(block.output)
                continue
            for command in block.commands:
                if command.startswith("export "):
                    exports.append(gateway.typed(command))
                    continue
                script = "\n".join([*exports, gateway.typed(command)])
                if re.search(r"curl\b.* -N\b", command):
                    streams.append(Terminal(["bash", "-c", script], environment()))
                    streams[-1].shows(re.compile("gateway.open"))
                    streams[-1].shows(block.output)
                    continue
                done = subprocess.run(
                    ["bash", "-c", script],
                    cwd=ROOT,
                    env=environment(),
                    capture_output=True,
                    text=True,
                    timeout=SECONDS,
                    check=False,
                )
                assert done.returncode == 0, (command, done.stderr)
                assert block.output.search(done.stdout), (command, block.output.pattern, done.stdout)
                assert "problems/" not in done.stdout, (command, done.stdout)
        # The last stream is the tail: it sees what is published from now on.
        httpx.post(
            f"{gateway.url}/publish",
            content=b"to the tail",
            headers={"authorization": f"Bearer {gateway.key}", "x-sse-topic": "news", "x-sse-id": "2"},
            trust_env=False,
        ).raise_for_status()
        for stream in streams:
            stream.shows(re.compile("to the tail"))
    finally:
        for stream in streams:
            stream.interrupt()


def test_the_lines_that_it_prints_can_be_pasted(gateway: Running) -> None:
    subscriber = Terminal(["bash", "-c", gateway.first_steps["Subscribe"]], environment())
    try:
        subscriber.shows(re.compile("gateway.open"))
        published = subprocess.run(
            ["bash", "-c", gateway.first_steps["Publish"]],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        assert '"subscribers"' in published.stdout
        subscriber.shows(re.compile("^data: Hello$", re.M))
    finally:
        subscriber.interrupt()
    assert httpx.get(gateway.first_steps["Dashboard"], trust_env=False).status_code == 200


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"not run: {CHROMIUM} is missing (apt-get install chromium)")
async def test_the_page_of_the_quick_start_receives(gateway: Running) -> None:
    from playwright.async_api import async_playwright

    (block,) = [block for block in quick_start() if block.language == "html"]
    html = gateway.typed(block.text).replace(README_URL.replace("http", "ws"), gateway.url.replace("http", "ws"))
    said: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        # Any page does: this one is of the browser's own making, its origin is "null".
        await page.set_content(html)
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as http:
            headers = {"authorization": f"Bearer {gateway.key}", "x-sse-topic": "news", "x-sse-id": "page-1"}
            await page.wait_for_function("() => events.readyState === 1 && socket.readyState === 1")
            async with page.expect_console_message(lambda message: message.text.startswith("page-1 ")):
                response = await http.post("/publish", content=b"to the page", headers=headers)
            assert response.status_code == 200
            assert response.json()["subscribers"] >= 2
        assert "page-1 to the page" in said
        await page.wait_for_function("() => true")
        await browser.close()
    assert any("to the page" in line for line in said if not line.startswith("page-1")), said
