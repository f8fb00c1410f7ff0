"""Runs a client to its end: its own, a signal's, or that of whoever reads its output."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from gateway_project.client.exceptions import ClientError, Refused, UsageError
from gateway_project.client.output import Interrupted, Output, tell
from gateway_project.client.terminal import printable

SUCCESS = 0
FAILURE = 1
USAGE = 2
INTERRUPTED = 128 + signal.SIGINT


def exit_code(work: Callable[[], int]) -> int:
    """The exit code for `work`, and its failure told in a sentence on standard error."""
    try:
        return work()
    except UsageError as error:
        tell(printable(str(error)))
        return USAGE
    except ClientError as error:
        tell(printable(sentence(error)))
        return FAILURE
    except BrokenPipeError:
        return SUCCESS
    except KeyboardInterrupt:
        return INTERRUPTED


def sentence(error: ClientError) -> str:
    """The failure as sentences, the one that says what to do last."""
    text = str(error)
    if isinstance(error, Refused) and error.status is not None and error.problem is None:
        text = f"The gateway refused it. {text}"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def run(main: Callable[[Output], Coroutine[Any, Any, int]], output: Output) -> int:
    """Run `main` until it ends, or until Ctrl-C (130), SIGTERM (0) or a reader that closed the pipe (0).

    Returns:
        The exit code.
    """
    stopped: list[int] = []

    async def supervised() -> int:
        loop = asyncio.get_running_loop()
        work = loop.create_task(main(output))

        def stop(code: int) -> None:
            stopped.append(code)
            work.cancel()

        def on_signal(number: int, _frame: FrameType | None) -> None:
            code = INTERRUPTED if number == signal.SIGINT else SUCCESS
            if output.writing:
                # The event loop is not running but waits in a write, perhaps for ever.
                stopped.append(code)
                raise Interrupted
            loop.call_soon_threadsafe(stop, code)

        watch_reader(loop, output, lambda: stop(SUCCESS))
        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return await work
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    try:
        return asyncio.run(supervised())
    except (asyncio.CancelledError, Interrupted):
        if not stopped:
            raise
        return stopped[0]


def watch_reader(loop: asyncio.AbstractEventLoop, output: Output, gone: Callable[[], None]) -> None:
    """Call `gone` when nobody reads the pipe any more.

    A write would tell, but the next event may be hours away (`subscribe ... | head -1`). The writing end
    of a pipe becomes "readable" when its last reader leaves, and at no other time.
    """
    if not output.is_pipe:
        return

    def left() -> None:
        loop.remove_reader(output.descriptor)
        gone()

    loop.add_reader(output.descriptor, left)
