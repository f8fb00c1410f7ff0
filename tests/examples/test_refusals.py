"""What subscribers and publishers make of refusals: some end them with a clear sentence, others are waited out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.languages import Language
from tests.examples.programs import Finished, environment, publisher, run, subscriber
from tests.examples.stage import Call, Gone, Stage
from tests.gateway import RunningGateway
from tests.redis_server import RedisServer, needs_redis

LARGEST = 10_000
BUSY = {"type": "/problems/unavailable", "title": "The gateway cannot answer truthfully now", "status": 503}
BUSY |= {"detail": "Try again."}


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with RunningGateway(history="kept=100", max_event_bytes=LARGEST) as gateway:
        yield gateway


def publish(language: Language, gateway: RunningGateway | Stage, *arguments: str, stdin: str = "") -> Finished:
    """Run the publisher with a right key."""
    key = gateway.key if isinstance(gateway, RunningGateway) else "key"
    return run(language, [*language.publish, *arguments], environment(gateway.url, key), stdin=stdin)


def busy(call: Call) -> None:
    """Refuse for a second."""
    call.answer(503, BUSY, {"retry-after": "1"})


def test_401(language: Language, gateway: RunningGateway) -> None:
    done = run(language, [*language.publish, "kept", "x"], environment(gateway.url, "wrong"))
    assert (done.code, done.stdout) == (1, "")
    assert done.last.startswith("Refused (401): The API key is missing or wrong. Send an API key as"), done
    assert "wrong key" not in done.stderr


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["two words", "x"], "Refused (400): The topic list is malformed. x-sse-topic holds the character ' '"),
    (["--event", "gateway.open", "kept", "x"], "Refused (400): The event type is malformed or reserved. "),
])  # fmt: skip
def test_400(language: Language, gateway: RunningGateway, arguments: list[str], sentence: str) -> None:
    done = publish(language, gateway, *arguments)
    assert (done.code, done.stdout) == (1, "")
    assert done.last.startswith(sentence), done


@pytest.mark.parametrize("size", [LARGEST + 1, 4 << 20])
def test_413_and_nothing_after_it(language: Language, gateway: RunningGateway, size: int) -> None:
    done = publish(language, gateway, "--timeout", "5", "kept", stdin=f"fits\n{'x' * size}\nfits again\n")
    assert done.code == 1, done.stderr
    assert [answer["status"] for answer in done.answers] == [200]
    assert done.last.startswith("Refused (413): The request is too large. The body is over 10000 bytes"), done.stderr


def test_a_subscriber_that_is_refused_for_good(language: Language, gateway: RunningGateway, websocket: bool) -> None:
    with subscriber(language, gateway.url, "two words", websocket=websocket) as program:
        assert program.wait(30) == 1
        assert program.stdout == []
        assert program.stderr[-1].startswith("Refused (400): The topic list is malformed. ")


def test_a_subscriber_waits_while_the_gateway_is_full(language: Language, websocket: bool) -> None:
    def open_(call: Call) -> None:
        call.begin()
        call.hold()

    full = {"type": "/problems/too-many-connections", "title": "There are too many connections", "detail": "Later."}

    def refuse(call: Call) -> None:
        call.answer(503, full, {"retry-after": "4"})

    with Stage(refuse, open_) as stage, subscriber(language, stage.url, "t", websocket=websocket) as program:
        first, second = stage.called(2)
        # More than it would wait without `retry-after`.
        assert 4 <= second.at - first.at < 7
        program.tells("Refused (503): There are too many connections. Later. Connecting again in 4.0 s.")
        program.tells("Connected to ")
        assert program.interrupt() == 0


def test_a_publisher_tries_again_with_the_same_id(language: Language) -> None:
    def lost(call: Call) -> None:
        raise Gone

    def taken(call: Call) -> None:
        call.answer(200, {"id": call.headers.get("x-sse-id"), "subscribers": 3, "topics": {"t": 3}})

    with Stage(busy, lost, taken) as stage:
        done = publish(language, stage, "t", "Grüße")
    assert done.code == 0, done
    assert len({call.headers.get("x-sse-id") for call in stage.calls}) == 1
    assert [call.body.decode() for call in stage.calls] == ["Grüße"] * 3
    assert stage.calls[1].at - stage.calls[0].at >= 1
    assert done.answers == [{"status": 200, "id": stage.calls[0].headers.get("x-sse-id"), "subscribers": 3}]


def test_a_publisher_gives_up_at_last(language: Language) -> None:
    with Stage(busy) as stage:
        began = time.monotonic()
        done = publish(language, stage, "--timeout", "2.5", "t", "x", "never published")
        assert time.monotonic() - began < 6
    assert (done.code, done.stdout) == (1, "")
    assert "Refused (503): The gateway cannot answer truthfully now. Try again." in done.last
    assert len({call.headers.get("x-sse-id") for call in stage.calls}) == 1
    assert len(stage.calls) >= 2
    # Nobody there, and nobody who ever answers.
    assert publish(language, stage, "--timeout", "1", "t", "x").code == 1
    with Stage(Call.hold) as silent:
        assert publish(language, silent, "--timeout", "1", "t", "x").code == 1


@needs_redis
def test_503_while_redis_is_away(language: Language, cut_off: RunningGateway) -> None:
    done = publish(language, cut_off, "--timeout", "3", "t", "x")
    assert (done.code, done.stdout) == (1, "")
    assert "Refused (503): The gateway cannot answer truthfully now. " in done.last, done


@pytest.fixture(scope="module")
def cut_off() -> Iterator[RunningGateway]:
    with RedisServer() as redis, RunningGateway(redis_url=redis.url) as gateway:
        redis.kill()
        yield gateway


def test_an_answer_that_is_no_problem(language: Language, websocket: bool) -> None:
    def teapot(call: Call) -> None:
        call.answer(418, None, {"content-type": "text/html"})

    with Stage(teapot) as stage:
        assert publish(language, stage, "t", "x").last.startswith("Refused (418).")
        with subscriber(language, stage.url, "t", websocket=websocket) as program:
            assert program.wait(30) == 1
            assert program.stderr[-1].startswith("Refused (418)")


def test_ctrl_c_ends_a_publisher(language: Language) -> None:
    with Stage(busy) as stage, publisher(language, stage.url, "key", "t") as program:
        program.write("x")
        stage.called(1)
        assert program.interrupt() == 0, program
        assert not [line for line in program.stderr if "Traceback" in line or "    at " in line], program
    with Stage(busy) as stage, publisher(language, stage.url, "key", "t", "--timeout", "60") as program:
        program.write("x")
        stage.called(2)
        assert program.interrupt() == 0, program


def test_arguments_and_environment(language: Language, gateway: RunningGateway, tmp_path: Path) -> None:
    no_key = environment(gateway.url)
    no_topic = environment(gateway.url, gateway.key)
    for command, env in (
        (language.publish, no_topic),
        ((*language.publish, "kept", "x"), no_key),
        ((*language.publish, "--no-such-option", "kept", "x"), no_topic),
        (language.subscribe, no_key),
        ((*language.subscribe, "--no-such-option", "kept"), no_key),
    ):
        done = run(language, command, env)
        assert (done.code, done.stdout) == (2, ""), (command, done)
        assert done.stderr
    key_file = tmp_path / "key"
    key_file.write_text(f"{gateway.key}\nanother line\n")
    by_file = [*language.publish, "--key-file", str(key_file), "--url", gateway.url, "kept,other", "one", "two"]
    assert [each["status"] for each in run(language, by_file, environment("http://127.0.0.1:9")).answers] == [200, 200]
    env = environment(f"{gateway.url}/", gateway.key, GATEWAY_TOPICS="kept,other")
    # LF and CRLF end a line, also the last one when it has none.
    from_input = run(language, language.publish, env, stdin="a\n\nb\r\nc")
    assert [each["status"] for each in from_input.answers] == [200] * 4, from_input


def test_a_path_in_the_address_stays(language: Language, websocket: bool) -> None:
    with Stage(lambda call: call.answer(418)) as stage:
        url = f"{stage.url}/behind/a/proxy"
        run(language, [*language.publish, "t", "x"], environment(url, "key"))
        with subscriber(language, url, "t", websocket=websocket) as program:
            program.wait(30)
        paths = [call.target.path for call in stage.calls]
    assert paths == ["/behind/a/proxy/publish", f"/behind/a/proxy/{'ws' if websocket else 'sse'}"]
