"""The SSE encoder against httpx-sse's decoder, which knows nothing of it."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.topics.scripted import parse_sse
from tests.unit.topics.strategies import events, names
from topics.events import Event
from topics.wire import sse


def as_clients_see_it(data: str) -> str:
    """Line ends reach a client as LF (WHATWG HTML §9.2.6)."""
    return data.replace("\r\n", "\n").replace("\r", "\n")


def plain(data: str) -> Event:
    return Event(topics=("a",), id="1", data=data)


@given(events)
@example(plain(""))
@example(plain("\x00"))
@example(plain("a\r\nb\rc\nd\n\re"))
@example(plain("\n"))
@example(plain("\u2028\u2029\x85"))
@example(plain(" leading"))
@example(plain(":comment"))
@example(plain("x\n\ndata: forged\n\nid: forged"))
@example(plain("é" * 600_000))
@example(plain("\n" * 20_000))
def test_any_event_comes_back_from_an_independent_parser(event: Event) -> None:
    (parsed,) = parse_sse(sse.encode_event(event))
    assert parsed.id == event.id
    assert parsed.event == (event.event or "message")
    assert parsed.data == as_clients_see_it(event.data)
    assert parsed.retry == event.retry


@given(events)
@example(plain("\u2028\r\n\x00"))
def test_json_format_carries_the_data_exactly(event: Event) -> None:
    (parsed,) = parse_sse(sse.encode_event_json(event))
    assert (parsed.id, parsed.event, parsed.retry) == (event.id, event.event or "message", event.retry)
    value = json.loads(parsed.data)
    time = value.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)
    assert value == {
        "type": "event",
        "topics": list(event.topics),
        "id": event.id,
        "event": event.event or "message",
        "data": event.data,
    }


@given(st.lists(events, max_size=8))
def test_events_written_one_behind_the_other_stay_apart(several: list[Event]) -> None:
    parsed = parse_sse(b"".join(sse.encode_event(event) for event in several))
    assert [(seen.id, seen.data) for seen in parsed] == [(e.id, as_clients_see_it(e.data)) for e in several]


@given(names, st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.none() | st.integers(0, 86_400_000))
def test_the_gateways_own_events_never_move_the_clients_position(
    event_id: str, payload: dict[str, object], retry: int | None
) -> None:
    stream = sse.encode_event(Event(("a",), event_id, "x")) + sse.encode_control("gateway.gap", payload, retry=retry)
    _, control = parse_sse(stream)
    assert control.event == "gateway.gap"
    assert json.loads(control.data) == payload
    assert control.retry == retry
    # The decoder repeats the last id that it was given: it was given none here.
    assert control.id == event_id


def test_a_keep_alive_is_a_comment() -> None:
    assert sse.KEEP_ALIVE.startswith(b":")
    assert sse.KEEP_ALIVE.endswith(b"\n\n")
    assert parse_sse(sse.KEEP_ALIVE + sse.encode_event(plain("x")))[0].data == "x"


def test_field_order_is_id_event_retry_data() -> None:
    event = Event(("a",), "1", "x\ny", event="greeting", retry=5)
    assert sse.encode_event(event) == b"id: 1\nevent: greeting\nretry: 5\ndata: x\ndata: y\n\n"
    assert sse.encode_control("gateway.open", {"node": "n"}, retry=3000) == (
        b'retry: 3000\nevent: gateway.open\ndata: {"node":"n"}\n\n'
    )


@given(st.binary(min_size=1, max_size=300))
def test_a_chunk_is_read_back_by_its_size(payload: bytes) -> None:
    size, _, rest = sse.chunk(payload).partition(b"\r\n")
    assert int(size, 16) == len(payload)
    assert rest == payload + b"\r\n"


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 1_048_576])
def test_chunk_sizes_are_hexadecimal(size: int) -> None:
    chunk = sse.chunk(b"x" * size)
    assert chunk.startswith(f"{size:x}\r\n".encode())
