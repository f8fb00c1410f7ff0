"""What a case's report says about the server, read from the report alone.

The fuzzing client's own verdict stands for a server that echoes. Of the gateway it can only say FAILED: a
subscriber is sent an `open` message before anything else, and a message that is no command is answered with
an `error` message instead of an echo. `judge_gateway` therefore looks at such a failure again, with the
fuzzing client's own expectation and exactly two things changed:

- the first message is the `open` message, and wherever an echo is expected there is one `error` message;
- the fuzzing client, which waits for the echo and then closes, may give up waiting and close with another
  code than it planned. The answer may carry that code (RFC 6455 §5.5.1) if the wire log says that it gave up.

All else must be as expected: number and order of messages and pongs, who closes, how cleanly, which code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CaseReport = dict[str, Any]
"""One case's JSON file, as the fuzzing client wrote it."""

ACCEPTED = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
ACCEPTED_CLOSES = frozenset({"OK", "INFORMATIONAL"})

NOTHING_MATCHED = "Actual events differ from any expected."
GAVE_UP_WAITING = frozenset({"KLE", "TIE"})
"""Wire log entries for "failing" and "closing the connection" after the case's time was over."""

# The report cuts a message off after 64 bytes, so it cannot be parsed as JSON.
_TYPE = re.compile(r'\{\s*"type"\s*:\s*"([a-z]+)"')


class Verdict(StrEnum):
    """What became of one case."""

    PASSED = "passed"
    """By the fuzzing client's own judgement."""

    NO_ECHO = "no echo"
    """As expected but for the echo that the gateway does not send."""

    FAILED = "failed"


@dataclass(frozen=True)
class Judgement:
    """A verdict, with the reason when it is `FAILED`."""

    verdict: Verdict
    reason: str = ""


def judge_echo(report: CaseReport) -> Judgement:
    """Take the fuzzing client's verdict on a server that echoes every message."""
    if report["behavior"] in ACCEPTED and report["behaviorClose"] in ACCEPTED_CLOSES:
        return Judgement(Verdict.PASSED)
    return Judgement(Verdict.FAILED, _own_words(report))


def judge_gateway(report: CaseReport) -> Judgement:
    """Judge a case against the gateway's own `/ws`, which answers commands and echoes nothing."""
    own = judge_echo(report)
    if own.verdict is Verdict.PASSED:
        return own
    compared = report["result"] in (NOTHING_MATCHED, report["resultClose"])
    if report["behavior"] not in ACCEPTED and not compared:
        return own  # found by a check of the case's own, which no missing echo explains
    reason = _wrong_events(report) or _wrong_close(report)
    return Judgement(Verdict.FAILED, reason) if reason else Judgement(Verdict.NO_ECHO)


def _own_words(report: CaseReport) -> str:
    return "; ".join(
        (
            f"{report['behavior']}: {report['result']}",
            f"close {report['behaviorClose']}: {report['resultClose']}",
            f"expected {report['expected']}, received {report['received']}",
            f"close code {report['remoteCloseCode']}",
        )
    )


def _wrong_events(report: CaseReport) -> str:
    """What differs from every expectation with the echoes replaced; empty when one of them is met."""
    received = [_as_seen(event) for event in report["received"]]
    opened = received.index("open") if "open" in received else None
    replies = [index for index, event in enumerate(received) if event == "error"]
    if opened is None or received.count("open") != 1 or (replies and replies[0] < opened):
        return f"the first message must be one open message: received {report['received']}"
    del received[opened]
    expectations = [
        ["error" if event[0] == "message" else _as_seen(event) for event in events]
        for events in report["expected"].values()
    ]
    if received in expectations:
        return ""
    return f"expected one of {expectations} after the open message, received {report['received']}"


def _as_seen(event: Sequence[Any]) -> str:
    """Name what a message is to the gateway's clients; anything else stands for itself."""
    if event[0] != "message":
        return ":".join(str(part) for part in event)
    _, text, binary = event
    found = None if binary else _TYPE.match(text)
    return found.group(1) if found else f"message:{text}"


def _wrong_close(report: CaseReport) -> str:
    """What is wrong with the end of the connection; empty when nothing is."""
    expected = report["expectedClose"]
    allowed = {None, *expected["closeCode"]}
    if any(entry[0] in GAVE_UP_WAITING for entry in report["wirelog"]):
        allowed.add(report["localCloseCode"])
    if report["closedByMe"] != expected["closedByMe"]:
        return f"closed by the {'fuzzing client' if report['closedByMe'] else 'server'}: expected the other side"
    if expected["requireClean"] and not report["wasClean"]:
        return f"not closed cleanly: {report['wasNotCleanReason']}"
    if report["remoteCloseCode"] not in allowed:
        return f"close code {report['remoteCloseCode']}, expected one of {sorted(allowed - {None})}"
    if report["droppedByMe"]:
        return "the fuzzing client had to drop the TCP connection"
    return ""
