"""Bodies: bounded in size and time, whatever their chunks."""

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publishing.body import BodyRefused, ClientGone, read_body
from tests.unit.publishing.bodies import body
from topics.asgi import Message


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(0, 100))
async def test_a_body_is_what_its_chunks_make_or_too_large(chunks: list[bytes], limit: int) -> None:
    whole = b"".join(chunks)
    if len(whole) <= limit:
        assert await read_body(body(*chunks), limit=limit, seconds=5) == whole
    else:
        with pytest.raises(BodyRefused) as refused:
            await read_body(body(*chunks), limit=limit, seconds=5)
        assert (refused.value.problem.status, refused.value.problem.slug) == (413, "too-large")


async def test_reading_stops_with_the_chunk_that_passes_the_limit() -> None:
    taken = 0

    async def endless() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    with pytest.raises(BodyRefused):
        await read_body(endless, limit=250, seconds=5)
    assert taken == 3


@pytest.mark.parametrize("chunks", [[], [b"half"]])
async def test_a_client_that_leaves_is_gone(chunks: list[bytes]) -> None:
    with pytest.raises(ClientGone):
        await read_body(body(*chunks, complete=False), limit=100, seconds=5)


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async def slow() -> Any:
        # Always something, never all of it: the limit is for the whole body.
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    begun = time.monotonic()
    with pytest.raises(BodyRefused) as refused:
        await read_body(slow, limit=1000, seconds=0.05)
    assert (refused.value.problem.status, refused.value.problem.slug) == (408, "timeout")
    assert 0.05 <= time.monotonic() - begun < 1


async def test_a_message_without_its_optional_members_is_an_empty_body() -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    assert await read_body(receive, limit=0, seconds=5) == b""
