"""Contract §2, keep-alive; and clients that make the gateway wait."""

from __future__ import annotations

import pytest

from tests.conformance.patience import MARGIN_SECONDS, Patience
from tests.conformance.subject import HEARTBEAT_SECONDS
from tests.raw.websocket import PING


async def test_silence_on_a_stream_is_filled_with_a_comment(patience: Patience) -> None:
    seconds, block = await patience.result(patience.silent_stream)
    assert HEARTBEAT_SECONDS / 2 <= seconds <= HEARTBEAT_SECONDS + MARGIN_SECONDS
    assert block.raw.startswith(b":")
    assert block.data is None, "a comment must not make an event"
    assert block.id is None


async def test_silence_on_a_websocket_is_filled_with_pings_and_an_answer_keeps_it(patience: Patience) -> None:
    frames, alive = await patience.result(patience.answering_websocket)
    assert [frame.opcode for frame in frames] == [PING, PING]
    assert alive


async def test_a_websocket_that_answers_no_ping_is_closed(patience: Patience) -> None:
    seconds = await patience.result(patience.mute_websocket)
    assert HEARTBEAT_SECONDS <= seconds <= 2 * HEARTBEAT_SECONDS + 2 * MARGIN_SECONDS


async def test_a_stream_whose_client_vanishes_is_unlisted_within_one_keep_alive(patience: Patience) -> None:
    for seconds in await patience.result(patience.vanished_streams):
        assert seconds <= HEARTBEAT_SECONDS + MARGIN_SECONDS


async def test_a_websocket_whose_client_vanishes_is_unlisted_within_one_keep_alive(patience: Patience) -> None:
    for seconds in await patience.result(patience.vanished_websockets):
        assert seconds <= HEARTBEAT_SECONDS + MARGIN_SECONDS


@pytest.mark.http1
async def test_headers_that_come_a_byte_a_second_are_cut_off(patience: Patience) -> None:
    seconds, answer = await patience.result(patience.slow_headers)
    assert seconds < 30
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
