"""The wire vectors, played byte by byte, are what each language's client understands."""

from __future__ import annotations

import json
from typing import Any

from tests.examples.languages import Language
from tests.examples.programs import subscriber
from tests.examples.stage import TEXT, Call, Stage
from tests.gateway import ROOT
from tests.raw.websocket import encode

VECTORS = ROOT / "tests" / "vectors"


def cases(file: str, *members: str) -> list[dict[str, Any]]:
    """The cases of a file that have these members."""
    found = [case for case in json.loads((VECTORS / file).read_text())["cases"] if set(members) <= set(case)]
    assert found
    return found


def expected(events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """What a subscriber is to print for the events of cases, with the names of the cases."""
    return [
        (
            case["name"],
            {name: case["event"][name] for name in ("topics", "id", "data")}
            | {"event": case["event"]["event"] or "message"},
        )
        for case in events
    ]


def printed(lines: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """What a subscriber has printed, likewise."""
    return [
        (case["name"], {name: line.get(name) for name in ("topics", "id", "data", "event")})
        for case, line in zip(events, lines, strict=True)
    ]


def test_every_event(language: Language, websocket: bool) -> None:
    if websocket:
        events = cases("websocket.json", "event", "text")
        wire = b"".join(encode(TEXT, case["text"].encode(), masked=False) for case in events)
    else:
        events = cases("sse.json", "event", "json")
        comment = cases("sse.json", "comment")[0]["raw"]
        wire = comment.join(case["json"] for case in events).encode()

    def play(call: Call) -> None:
        call.begin()
        # Seven bytes at a time: no reading ends where an event, a line or a character does.
        call.send(wire, piece=7)
        call.hold()

    with Stage(play) as stage, subscriber(language, stage.url, "news", websocket=websocket) as program:
        program.prints(len(events))
        assert printed(program.events, events) == expected(events)
        assert program.interrupt() == 0
    assert len(stage.calls) == 1


def test_the_gateways_own_events(language: Language, websocket: bool) -> None:
    if websocket:
        own = cases("websocket.json", "message", "text")
        wires = {case["name"]: encode(TEXT, case["text"].encode(), masked=False) for case in own}
    else:
        wires = {case["name"]: case["raw"].encode() for case in cases("sse.json", "control", "raw")}
    close = wires.pop("close at shutdown")
    wires.pop("close by an administrator")

    def play(call: Call) -> None:
        call.begin()
        # What a client has no use for does not end it.
        for wire in wires.values():
            call.send(wire)
        call.send(close)
        call.hold()

    with Stage(play) as stage, subscriber(language, stage.url, "news", websocket=websocket) as program:
        program.tells("The gateway closed the connection (shutdown). Connecting again in 4.3 s.")
        assert program.stderr[:3] == [
            f"Connected to {stage.url} (topics: news).",
            f'Connected to {stage.url} (topics: news, a"b).',
            "Gap: 12 events of topic news did not arrive (slow-reader).",
        ]
        assert program.events == []
        assert program.interrupt() == 0
