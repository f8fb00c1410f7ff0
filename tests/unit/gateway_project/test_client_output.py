import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway_project.client.exceptions import OutputFailed, Refused, Unavailable, UsageError
from gateway_project.client.output import Output
from gateway_project.client.stopping import exit_code, run

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def fill(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(descriptor, True)


def test_a_line_can_be_read_at_once(pipe: Pipe) -> None:
    Output(pipe[1]).line("grüße")
    assert os.read(pipe[0], 100) == "grüße\n".encode()


def test_what_the_encoding_lacks_is_escaped(pipe: Pipe) -> None:
    Output(pipe[1], "ascii").line("grüße \ud800")
    assert os.read(pipe[0], 100) == b"gr\\xfc\\xdfe \\ud800\n"


def test_a_reader_that_is_gone_is_told(pipe: Pipe) -> None:
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        Output(pipe[1]).line("x")


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full, pytest.raises(OutputFailed, match="No space left on device"):
        Output(full.fileno()).line("x")


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe[1], False)
    text = "x" * 1_000_000
    received = bytearray()

    def read() -> None:
        while not received.endswith(b"\n"):
            received.extend(os.read(pipe[0], 65536))

    reader = threading.Thread(target=read)
    reader.start()
    Output(pipe[1]).line(text)
    reader.join(5)
    assert received.decode() == text + "\n"


def test_it_ends_when_the_reader_leaves_though_nothing_is_written(pipe: Pipe) -> None:
    async def wait_for_ever(_output: Output) -> int:
        os.close(pipe[0])
        await asyncio.sleep(60)
        return 1

    before = time.monotonic()
    assert run(wait_for_ever, Output(pipe[1])) == 0
    assert time.monotonic() - before < 5


def test_a_reader_that_stays_does_not_end_it(pipe: Pipe) -> None:
    async def short(output: Output) -> int:
        output.line("x")
        await asyncio.sleep(0.05)
        return 7

    assert run(short, Output(pipe[1])) == 7


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_while_it_waits(pipe: Pipe, number: signal.Signals, code: int) -> None:
    cleaned_up = []

    async def wait_for_ever(_output: Output) -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            cleaned_up.append(True)
        return 1

    handler = signal.getsignal(number)
    assert run(wait_for_ever, Output(pipe[1])) == code
    assert cleaned_up
    assert signal.getsignal(number) is handler


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_while_nobody_reads(pipe: Pipe, number: signal.Signals, code: int) -> None:
    fill(pipe[1])
    output = Output(pipe[1])

    async def write(out: Output) -> int:
        out.line("no room")
        return 1

    def kill() -> None:
        eventually(lambda: output.writing)
        os.kill(os.getpid(), number)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run(write, output) == code
    killer.join(5)


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UsageError("Wrong."), 2, "Wrong.\n"),
        (Unavailable("No connection"), 1, "No connection.\n"),
        (Refused("Bad topic", "Use \x1b", status=400, problem={"a": 1}), 1, "Bad topic: Use \\x1b.\n"),
        (Refused("HTTP 500", status=500), 1, "The gateway refused it. HTTP 500.\n"),
        (BrokenPipeError(), 0, ""),
        (KeyboardInterrupt(), 130, ""),
        (OutputFailed("The disk is full"), 1, "The disk is full.\n"),
    ],
)
def test_exit_codes(error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(error)) == code
    assert capsys.readouterr().err == sentence
