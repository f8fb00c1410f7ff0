"""Standard output of a command that runs until somebody stops it."""

import errno
import os
import select
import stat
import sys

from gateway_project.client.exceptions import OutputFailed, UsageError


class Interrupted(Exception):
    """A signal came while a write was waiting for a reader that does not read."""


class Output:
    """Lines to a file descriptor, without a buffer: each can be read as soon as it is written.

    Attributes:
        writing: whether a write is under way, which a signal must break off: see `stopping`.
    """

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        self.descriptor = descriptor
        self.writing = False
        self._encoding = encoding

    @classmethod
    def standard(cls) -> "Output":
        """Standard output.

        Raises:
            UsageError: it is closed. Its number would be given to the connection.
        """
        if sys.stdout is None:
            raise UsageError("Standard output is closed: there is nowhere to print events to.")
        sys.stdout.flush()
        return cls(sys.stdout.fileno(), sys.stdout.encoding)

    @property
    def is_pipe(self) -> bool:
        """Whether a reader can go away."""
        return stat.S_ISFIFO(os.fstat(self.descriptor).st_mode)

    def line(self, text: str) -> None:
        """Write one line, and wait until it is taken.

        Raises:
            BrokenPipeError: the reader is gone.
            OutputFailed: it cannot be written.
            Interrupted: by a signal.
        """
        rest = memoryview((text + "\n").encode(self._encoding, "backslashreplace"))
        self.writing = True
        try:
            while rest:
                try:
                    rest = rest[os.write(self.descriptor, rest) :]
                except BlockingIOError:
                    # Somebody who shares this pipe or terminal has made it non-blocking.
                    select.select([], [self.descriptor], [])
                except BrokenPipeError:
                    raise
                except OSError as error:
                    raise OutputFailed(f"The output cannot be written: {error.strerror}") from error
        finally:
            self.writing = False


def tell(sentence: str) -> None:
    """Write a sentence to standard error. Where nobody can hear it, it is lost."""
    try:
        print(sentence, file=sys.stderr, flush=True)
    except (OSError, AttributeError, ValueError) as error:
        if getattr(error, "errno", None) not in (None, errno.EPIPE, errno.EIO, errno.EBADF, errno.ENOSPC):
            raise
