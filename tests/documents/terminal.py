"""A terminal with one program in it that keeps running."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil

SECONDS = 60.0
"""For whatever is waited for; a machine may be busy with other tests."""


class Terminal:
    """A command in a process group of its own, and what it has printed so far.

    Args:
        command: For bash.
        folder: Where it runs.
        environment: All of its variables.
    """

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.text = ""
        self._read_up_to = 0
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # curl's progress meter is of no interest.
            stderr=subprocess.DEVNULL if "curl " in command else subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            bufsize=1,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := self.process.stdout.readline():
            with self._news:
                self.text += piece
                self._news.notify_all()

    def shows(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait until *pattern* has been printed, after what was waited for before."""
        deadline = time.monotonic() + SECONDS
        with self._news:
            while not (found := pattern.search(self.text, self._read_up_to)):
                left = deadline - time.monotonic()
                assert left > 0, f"no {pattern.pattern!r} in:\n{self.text}"
                self._news.wait(left)
            self._read_up_to = found.end()
        return found

    def interrupt(self) -> int:
        """Control-C: SIGINT to the whole group; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise
        finally:
            self._reader.join(5)
            if self.process.stdout is not None:
                self.process.stdout.close()

    def members(self) -> list[psutil.Process]:
        """The process and its children."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]
