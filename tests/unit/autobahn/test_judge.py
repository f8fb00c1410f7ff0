"""The judge must excuse a missing echo, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autobahn.judge import NOTHING_MATCHED, CaseReport, Verdict, judge_echo, judge_gateway

OPEN = ["message", '{"type":"open","connection":"6N2zq8o1F3xv9b0c","topics":["autobahn" ...', False]
ERROR = ["message", '{"type":"error","detail":"this is not a command: use subscribe, ...', False]


def report(**changes: Any) -> CaseReport:
    """Case 1.1.2 of a gateway that does all it should: the client waits, gives up and closes."""
    return {
        "behavior": "FAILED",
        "behaviorClose": "WRONG CODE",
        "result": NOTHING_MATCHED,
        "resultClose": "The close code should have been 1000 or empty",
        "expected": {"OK": [["message", "*" * 64 + " ...", False]]},
        "expectedClose": {"closedByMe": True, "closeCode": [1000], "requireClean": True},
        "received": [OPEN, ERROR],
        "wirelog": [["KL", 1], ["KLE"]],
        "closedByMe": True,
        "droppedByMe": False,
        "wasClean": True,
        "wasNotCleanReason": None,
        "localCloseCode": 1001,
        "remoteCloseCode": 1001,
        **changes,
    }


def failed_by_server(**changes: Any) -> CaseReport:
    """Case 3.2: the server must fail the connection after it may have answered one message."""
    return report(
        expected={"OK": [["message", "Hello, world!", False]], "NON-STRICT": []},
        expectedClose={"closedByMe": False, "closeCode": [1002], "requireClean": False},
        received=[OPEN],
        wirelog=[["KL", 1]],
        closedByMe=False,
        localCloseCode=1002,
        remoteCloseCode=1002,
        **changes,
    )


def test_an_error_message_in_place_of_the_echo_is_excused() -> None:
    assert judge_gateway(report()).verdict is Verdict.NO_ECHO
    assert judge_gateway(failed_by_server()).verdict is Verdict.NO_ECHO
    assert judge_gateway(failed_by_server() | {"received": [OPEN, ERROR]}).verdict is Verdict.NO_ECHO


def test_pongs_and_timeouts_are_compared_as_they_are() -> None:
    expected = {"OK": [["pong", "pongme 1!"], ["message", "fragment1fragment2", False]]}
    assert judge_gateway(report(expected=expected, received=[OPEN, ["pong", "pongme 1!"], ERROR])).verdict is (
        Verdict.NO_ECHO
    )
    assert judge_gateway(report(expected=expected, received=[["pong", "pongme 1!"], OPEN, ERROR])).verdict is (
        Verdict.NO_ECHO
    ), "the server answers pings by itself, maybe before the application says open"
    assert judge_gateway(report(expected=expected, received=[OPEN, ERROR, ["pong", "pongme 1!"]])).reason
    assert judge_gateway(report(expected=expected, received=[OPEN, ["pong", "pongme 2!"], ERROR])).reason
    assert judge_gateway(report(expected=expected, received=[OPEN, ERROR])).reason
    late = {"OK": [["timeout", "A"]]}
    assert judge_gateway(report(expected=late, received=[OPEN, ["timeout", "A"]])).verdict is Verdict.NO_ECHO
    assert judge_gateway(report(expected=late, received=[OPEN, ["timeout", "A"], ["timeout", "B"]])).reason


@pytest.mark.parametrize(
    "received",
    [
        pytest.param([OPEN], id="no answer to the message"),
        pytest.param([ERROR], id="no open message"),
        pytest.param([ERROR, OPEN], id="an answer before the open message"),
        pytest.param([OPEN, OPEN, ERROR], id="opened twice"),
        pytest.param([OPEN, ERROR, ERROR], id="two answers to one message"),
        pytest.param([OPEN, ["message", ERROR[1], True]], id="a binary answer"),
        pytest.param([OPEN, ["message", "{}", False]], id="some other message"),
        pytest.param([OPEN, ["message", '{"type":"event","topics":["autobahn"]', False]], id="an event"),
        pytest.param([], id="nothing"),
    ],
)
def test_other_messages_are_failures(received: list[Any]) -> None:
    assert judge_gateway(report(received=received)).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"closedByMe": False}, "closed by the server"),
        ({"wasClean": False, "wasNotCleanReason": "dropped"}, "not closed cleanly: dropped"),
        ({"remoteCloseCode": 1011}, "close code 1011"),
        ({"droppedByMe": True}, "drop the TCP connection"),
        ({"wirelog": [["KL", 1]]}, "close code 1001"),
    ],
)
def test_a_wrong_end_is_a_failure(changes: dict[str, Any], said: str) -> None:
    judgement = judge_gateway(report(**changes))
    assert judgement.verdict is Verdict.FAILED
    assert said in judgement.reason


def test_a_server_that_does_not_fail_a_broken_connection_has_failed() -> None:
    overlooked = failed_by_server() | {"closedByMe": True, "remoteCloseCode": 1001, "wirelog": [["KLE"]]}
    assert "closed by the fuzzing client" in judge_gateway(overlooked).reason
    assert "close code 1011" in judge_gateway(failed_by_server() | {"remoteCloseCode": 1011}).reason


def test_what_a_case_found_by_a_check_of_its_own_stands() -> None:
    judgement = judge_gateway(report(result="Frames transmitted do not match what we expected."))
    assert judgement.verdict is Verdict.FAILED
    assert "Frames transmitted" in judgement.reason


@pytest.mark.parametrize("behavior", ["OK", "NON-STRICT", "INFORMATIONAL"])
def test_the_fuzzing_clients_own_acceptance_stands(behavior: str) -> None:
    accepted = report(behavior=behavior, behaviorClose="OK")
    assert judge_echo(accepted).verdict is Verdict.PASSED
    assert judge_gateway(accepted).verdict is Verdict.PASSED


def test_an_echo_is_excused_nothing() -> None:
    assert judge_echo(report()).verdict is Verdict.FAILED
    assert judge_echo(report(behavior="OK")).verdict is Verdict.FAILED
    assert "WRONG CODE" in judge_echo(report(behavior="OK")).reason
    assert judge_echo(report(behavior="OK", behaviorClose="UNCLEAN")).verdict is Verdict.FAILED
