"""What has ended is freed at once: no writer and connection wait for the garbage collector to find the two."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from gateway_project.servers.daphne_transport import TransportWriter
from gateway_project.servers.uvicorn_writer import UvicornWriter
from topics.writer import Framing, Writer


class Holder:
    """A connection as the servers have them: it holds its writer, and the writer must be able to end it."""

    def __init__(self, server: str) -> None:
        self.ended_with: list[int | None] = []
        self.writer: Writer
        if server == "uvicorn":
            self.writer = UvicornWriter(self, cast(asyncio.Transport, None), Framing.CHUNKED)
        else:
            self.writer = TransportWriter(cast(Any, None), Framing.CHUNKED, self.end_stream)

    def begin_stream(self) -> None:
        """Nothing to prepare."""

    def end_stream(self, code: int | None) -> None:
        self.ended_with.append(code)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@pytest.mark.parametrize(
    "end", [lambda writer: writer.close(1000), lambda writer: writer.stop()], ids=["closed", "lost"]
)
@pytest.mark.usefixtures("no_collector")
def test_a_writer_that_has_ended_keeps_nobody(server: str, end: Callable[[Any], None]) -> None:
    holder = Holder(server)
    ended_with = holder.ended_with
    end(holder.writer)
    freed = weakref.ref(holder)
    end(holder.writer)  # a second time does nothing
    del holder
    assert freed() is None
    assert ended_with in ([], [1000])
