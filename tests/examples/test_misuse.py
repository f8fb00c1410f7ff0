"""What no waiting mends ends a program at once: wrong arguments with a reason, a reader that has gone without one."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.examples.languages import Language
from tests.examples.programs import Finished, environment, run
from tests.examples.stage import Call, Stage

# What there is before `|` in a shell, when what follows it reads one line alone.
HEAD = ("bash", "-c", '"$@" | head -1; exit "${PIPESTATUS[0]}"', "bash")
BROKEN_PIPE = 128 + 13
"""The exit code that a shell has for a program which SIGPIPE ended."""


def programs(language: Language, *arguments: str) -> list[tuple[str, ...]]:
    """The publisher and both subscribers, each with these arguments."""
    return [(*program, *arguments) for program in (language.publish, language.subscribe, language.websocket)]


def refused(done: Finished) -> bool:
    """Whether a program ended because of its arguments, and said so."""
    return (done.code, done.stdout) == (2, "") and done.stderr != "" and "Traceback" not in done.stderr


@pytest.mark.parametrize("url", [
    "ftp://127.0.0.1:8001", "httpx://127.0.0.1:8001", "127.0.0.1:8001", "localhost:8001",
    "http://127.0.0.1:99999", "http://127.0.0.1:port", "http://",
])  # fmt: skip
def test_an_address_that_is_none_of_http(language: Language, url: str) -> None:
    for command in programs(language, "t"):
        done = run(language, command, environment(url, "key"))
        assert refused(done), (command, done)
        # What is wrong, and what would be right.
        assert url.rstrip("/") in done.stderr, (command, done)
        assert "http://127.0.0.1:8000" in done.stderr, (command, done)


def test_an_empty_topic(language: Language) -> None:
    with Stage(Call.hold) as stage:
        for command in programs(language, ""):
            assert refused(done := run(language, command, environment(stage.url, "key"))), (command, done)
        for command in programs(language):
            env = environment(stage.url, "key", GATEWAY_TOPICS="")
            assert refused(done := run(language, command, env)), (command, done)
        assert stage.calls == []


def test_a_subscriber_that_nobody_reads_any_more(language: Language, websocket: bool) -> None:
    def play(call: Call) -> None:
        call.begin()
        for number in itertools.count():
            call.event(str(number))
            time.sleep(0.01)

    with Stage(play) as stage:
        program = language.websocket if websocket else language.subscribe
        done = run(language, [*HEAD, *program, "t"], environment(stage.url))
    assert done.code == BROKEN_PIPE, done
    assert [event["id"] for event in done.answers] == ["0"]
    assert done.stderr == f"Connected to {stage.url} (topics: t).\n"
    assert len(stage.calls) == 1


def test_a_publisher_whose_answers_nobody_reads_any_more(language: Language) -> None:
    with Stage(lambda call: call.answer(204)) as stage:
        done = run(language, [*HEAD, *language.publish, "t"], environment(stage.url, "key"), stdin="x\n" * 50_000)
    assert done.code == BROKEN_PIPE, done
    assert [answer["status"] for answer in done.answers] == [204]
    assert done.stderr == ""
