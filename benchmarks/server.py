"""Starting a server that is measured, and ending it."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import machine

START_SECONDS = 30.0
STOP_SECONDS = 15.0


class ServerFailed(Exception):
    """A server did not start or did not last; the message ends with what it wrote."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory for one server's files; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=machine.BENCH) as name:
        yield Path(name)


@contextlib.contextmanager
def running(
    command: list[str],
    *,
    folder: Path,
    port: int,
    environment: Mapping[str, str] | None = None,
    cwd: Path = machine.ROOT,
) -> Iterator[int]:
    """Run a server on the server's core until the block ends, and give its process id.

    Args:
        command: Its program and arguments; it stays in the foreground.
        folder: Where its output goes.
        port: The port that it answers on when it is ready.
        environment: Variables beside those of this process. No `GATEWAY_` variable of this process is inherited.
        cwd: Its working directory.

    Raises:
        ServerFailed: It ended, or did not answer in time.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            machine.pinned(command, 0),
            cwd=cwd,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(process, port, log)
        yield process.pid
        if process.poll() is not None:
            raise ServerFailed(f"{command[0]} ended with {process.returncode}:\n{_tail(log)}")
    finally:
        _stop(process)


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            raise ServerFailed(f"ended with {process.returncode} before it listened:\n{_tail(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise ServerFailed(f"did not listen within {START_SECONDS:g} s:\n{_tail(log)}") from None
            time.sleep(0.02)
        else:
            return


def _stop(process: "subprocess.Popen[bytes]") -> None:
    # The server leads a session of its own, so its group is exactly what it has started.
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def family(pid: int) -> list[int]:
    """Return a process and everything below it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found.extend(int(child) for child in task.read_text().split())
    return found
