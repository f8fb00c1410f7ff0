"""The publishers and subscribers of the examples as child processes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

from tests.examples.languages import Language
from tests.gateway import inherited_environment

SECONDS = 30.0
"""For whatever a test waits for, on a machine that does other things too."""
STOP_SECONDS = 5.0


def environment(url: str, key: str | None = None, **more: str) -> dict[str, str]:
    """This process's environment for an example: the gateway's address, a key if there is one, and *more*."""
    child = inherited_environment() | {"GATEWAY_URL": url} | more
    return child if key is None else child | {"GATEWAY_API_KEY": key}


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The lines of standard output, each one a JSON object."""
        return [json.loads(line) for line in self.stdout.split("\n") if line]

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return self.stderr.rstrip("\n").rpartition("\n")[2]


def run(
    language: Language,
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: str = "",
    seconds: float = SECONDS,
) -> Finished:
    """Run a program of an example to its end."""
    done = subprocess.run(
        command,
        cwd=language.folder,
        env=dict(env),
        input=stdin.encode(),
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


class Running:
    """A program of an example that goes on until it is stopped.

    Args:
        language: in whose folder it runs.
        command: the program and its arguments.
        env: its whole environment.
    """

    def __init__(self, language: Language, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.language = language
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._news = threading.Condition()
        self._command, self._env = list(command), dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._readers: list[threading.Thread] = []

    @property
    def _child(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def events(self) -> list[dict[str, Any]]:
        """What a subscriber has printed to standard output."""
        with self._news:
            lines = list(self.stdout)
        return [json.loads(line) for line in lines]

    def __str__(self) -> str:
        return f"{' '.join(self._command)}: {len(self.stdout)} lines; on standard error:\n" + "\n".join(self.stderr)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self.language.folder,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for stream, lines in ((self._process.stdout, self.stdout), (self._process.stderr, self.stderr)):
            reader = threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for reader in self._readers:
            reader.join(STOP_SECONDS)
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            assert stream is not None
            stream.close()

    def _read(self, stream: IO[bytes], lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.decode().removesuffix("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Wait until a condition on what was printed is true."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, f"no {what} within {seconds:g} s: {self}"
                assert self._child.poll() is None or any(each.is_alive() for each in self._readers), (
                    f"no {what}: {self}"
                )
                self._news.wait(min(left, 0.5))

    def tells(self, *parts: str, count: int = 1, seconds: float = SECONDS) -> None:
        """Wait until *count* lines on standard error have each of the *parts*."""
        self.wait_for(
            lambda: sum(all(part in line for part in parts) for line in self.stderr) >= count,
            f"{' … '.join(parts)!r} (times {count})",
            seconds,
        )

    def prints(self, count: int, seconds: float = SECONDS) -> None:
        """Wait until it has printed so many lines to standard output."""
        self.wait_for(lambda: len(self.stdout) >= count, f"{count} lines", seconds)

    def write(self, *lines: str) -> None:
        """Write lines to its standard input."""
        assert self._child.stdin is not None
        self._child.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self._child.stdin.flush()

    def end_of_input(self) -> None:
        """Close its standard input."""
        assert self._child.stdin is not None
        self._child.stdin.close()

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        self._child.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait until it ends by itself; returns the exit code."""
        code = self._child.wait(seconds)
        for reader in self._readers:
            reader.join(STOP_SECONDS)
        return code


def subscriber(
    language: Language, url: str, topics: str, *options: str, websocket: bool = False, **more: str
) -> Running:
    """The subscriber of a language, not started."""
    program = language.websocket if websocket else language.subscribe
    return Running(language, [*program, *options, topics], environment(url, **more))


def publisher(language: Language, url: str, key: str, topics: str, *options: str) -> Running:
    """The publisher of a language, which reads its standard input; not started."""
    return Running(language, [*language.publish, *options, topics], environment(url, key))
