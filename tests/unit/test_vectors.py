"""The wire vectors, which every implementation shares, hold for the Python encoders and parsers.

tests/vectors/README.md says what each kind of case means. A case of a kind that is not known here fails.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from topics.connection import gap_payload
from topics.encoding import EncodedEvent, Encoding, Format
from topics.events import Event, check_event_type, check_id, parse_topics
from topics.exceptions import InvalidInput
from topics.wire import sse, websocket
from topics.writer import Framing

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
LIMIT = 100

Case = dict[str, Any]


def cases(name: str) -> list[Any]:
    loaded: list[Case] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in loaded]


def event(value: Case) -> Event:
    return Event(
        topics=tuple(value["topics"]),
        id=value["id"],
        data=value["data"],
        event=value["event"],
        retry=value["retry"],
        time=datetime.fromisoformat(value["time"]).timestamp(),
    )


def encoded(value: Case, form: Format) -> str:
    return EncodedEvent(event(value)).frame(Encoding.of(form, Framing.IDENTITY)).decode()


@pytest.mark.parametrize("case", cases("sse"))
def test_sse(case: Case) -> None:
    if "event" in case:
        assert encoded(case["event"], Format.SSE) == case["raw"]
        assert encoded(case["event"], Format.SSE_JSON) == case["json"]
    elif "control" in case:
        control = case["control"]
        made = sse.encode_control(control["name"], control["payload"], retry=control["retry"])
        assert made.decode() == case["raw"]
        if control["name"] == "gateway.gap":
            gap = control["payload"]
            assert gap_payload("sse", gap["topic"], gap["missed"], gap["reason"]) == made
    else:
        assert case["comment"] == "keep-alive"
        assert sse.KEEP_ALIVE.decode() == case["raw"]


@pytest.mark.parametrize("case", cases("websocket"))
def test_websocket(case: Case) -> None:
    if "event" in case:
        assert encoded(case["event"], Format.WEBSOCKET_JSON) == case["text"]
        assert encoded(case["event"], Format.WEBSOCKET_RAW) == case["raw"]
    elif "message" in case:
        assert websocket.dumps(case["message"]) == case["text"]
    elif case.get("error"):
        with pytest.raises(InvalidInput):
            websocket.parse_command(case["command"], limit=LIMIT)
    else:
        command = websocket.parse_command(case["command"], limit=LIMIT)
        assert (command.type, list(command.topics)) == (case["type"], case.get("topics", []))


@pytest.mark.parametrize("case", cases("topics"))
def test_topics(case: Case) -> None:
    if "error" in case:
        with pytest.raises(InvalidInput) as refused:
            parse_topics(case["values"], limit=LIMIT, where="x-sse-topic")
        assert refused.value.slug == case["error"]
    else:
        assert list(parse_topics(case["values"], limit=LIMIT, where="x-sse-topic")) == case["topics"]


@pytest.mark.parametrize("case", cases("ids"))
def test_ids(case: Case) -> None:
    if "event" not in case:
        if case["valid"]:
            assert check_id(case["id"], where="x-sse-id") == case["id"]
            assert check_event_type(case["id"], where="x-sse-event") == case["id"]
        else:
            with pytest.raises(InvalidInput):
                check_id(case["id"], where="x-sse-id")
            with pytest.raises(InvalidInput):
                check_event_type(case["id"], where="x-sse-event")
    elif "error" in case:
        with pytest.raises(InvalidInput) as refused:
            check_event_type(case["event"], where="x-sse-event")
        assert refused.value.slug == case["error"]
    else:
        assert check_event_type(case["event"], where="x-sse-event") == case["type"]


@pytest.mark.parametrize("name", ["sse", "websocket", "topics", "ids"])
def test_every_case_has_a_name_of_its_own(name: str) -> None:
    names = [case.id for case in cases(name)]
    assert names
    assert len(names) == len(set(names))


def test_no_file_of_vectors_is_left_out() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == {"sse", "websocket", "topics", "ids"}
