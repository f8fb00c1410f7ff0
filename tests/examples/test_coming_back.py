"""Subscribers come back: after silence, after a close, after a break, with their last id; and end on Ctrl-C."""

from __future__ import annotations

import itertools

from tests.examples.languages import Language
from tests.examples.programs import Running, subscriber
from tests.examples.stage import Call, Gone, Stage

HEARTBEATS_SECONDS = 2.5
LAST_RETRY_SECONDS = 3.0
"""The wait before a gateway has said anything, at most."""
TRACES = ("Traceback", "panicked", "goroutine", "    at ", "Error:")


def ended_by_ctrl_c(program: Running) -> None:
    """Press Ctrl-C: it ends at once, with code 0, and says nothing that only its author understands."""
    assert program.interrupt() == 0, program
    assert not [line for line in program.stderr if any(trace in line for trace in TRACES)], program


def test_silence_ends_a_connection_and_keep_alives_do_not(language: Language, websocket: bool) -> None:
    def play(call: Call) -> None:
        call.begin(retry=100)
        call.keep_alive(HEARTBEATS_SECONDS)
        call.hold()

    with Stage(play) as stage, subscriber(language, stage.url, "t", "--silence", "1", websocket=websocket) as program:
        first, second = stage.called(2)[:2]
        # A WebSocket is asked every half second, and asked in vain for the first time after the last answer.
        assert second.at - first.at >= HEARTBEATS_SECONDS + (0.5 if websocket else 0.8)
        assert second.at - first.at < HEARTBEATS_SECONDS + 5 + LAST_RETRY_SECONDS
        program.tells("Connecting again in ")
        ended_by_ctrl_c(program)


def test_a_server_that_never_answers_is_given_up(language: Language, websocket: bool) -> None:
    with (
        Stage(Call.hold) as stage,
        subscriber(language, stage.url, "t", "--silence", "1", websocket=websocket) as program,
    ):
        first, second = stage.called(2)[:2]
        assert 1 <= second.at - first.at < 5 + LAST_RETRY_SECONDS
        ended_by_ctrl_c(program)


def test_it_comes_back_with_the_last_id_when_the_gateway_says(language: Language, websocket: bool) -> None:
    def close(call: Call) -> None:
        call.begin(retry=60_000)
        call.event("one")
        call.event("two,&=%20 more")
        call.send(b"" if call.upgrades else b"retry: 1200\n")
        call.message({"type": "close", "reason": "shutdown", "retry": 1200})
        call.hold()

    def go_on(call: Call) -> None:
        call.begin()
        call.event("three")
        call.hold()

    with (
        Stage(close, go_on) as stage,
        subscriber(language, stage.url, "t", "--last-event-id", "zero", websocket=websocket) as program,
    ):
        first, second = stage.called(2)
        assert first.last_event_id == "zero"
        assert second.last_event_id == "two,&=%20 more"
        assert [call.topics for call in (first, second)] == ["t", "t"]
        assert 1.0 <= second.at - first.at < 3
        program.tells("The gateway closed the connection (shutdown). Connecting again in 1.2 s.")
        program.prints(3)
        assert [event["id"] for event in program.events] == ["one", "two,&=%20 more", "three"]
        program.tells("Connected to ", count=2)
        ended_by_ctrl_c(program)


def test_what_was_cut_short_is_not_printed(language: Language) -> None:
    def cut(call: Call) -> None:
        call.begin(retry=100)
        call.event("whole")
        call.send(b'id: half\ndata: {"type":"event","topics":["t"],"id":"half","event":"message","data":"x"}\n')
        raise Gone

    def go_on(call: Call) -> None:
        call.begin()
        call.event("next")
        call.hold()

    with Stage(cut, go_on) as stage, subscriber(language, stage.url, "t") as program:
        program.prints(2)
        assert [event["id"] for event in program.events] == ["whole", "next"]
        assert stage.calls[1].last_event_id == "whole"
        ended_by_ctrl_c(program)


def test_each_attempt_that_fails_is_waited_for_longer(language: Language) -> None:
    def once(call: Call) -> None:
        call.begin(retry=200)
        raise Gone

    def never(call: Call) -> None:
        raise Gone

    with Stage(once, never) as stage, subscriber(language, stage.url, "t") as program:
        calls = stage.called(5)
        waits = [later.at - earlier.at for earlier, later in itertools.pairwise(calls)]
        for attempt, wait in enumerate(waits):
            # Shortened at random by up to half, never lengthened but by the machine.
            assert 0.1 * 2**attempt <= wait < 0.2 * 2**attempt + 1, waits
        program.tells("Connecting again in ", count=4)
        ended_by_ctrl_c(program)


def test_ctrl_c_while_nobody_is_there(language: Language, websocket: bool) -> None:
    with Stage(Call.hold) as stage:
        nobody = stage.url
    with subscriber(language, nobody, "t", websocket=websocket) as program:
        program.tells("Connecting again in ")
        ended_by_ctrl_c(program)
