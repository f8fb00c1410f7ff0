"""The commands as people run them: child processes against a real gateway."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
import pytest

from tests.gateway import ROOT, RunningGateway
from tests.relay import Relay

SECONDS = 20.0
"""Long enough for a Python that starts on a busy machine."""

TRANSPORTS = pytest.mark.parametrize("transport", [[], ["--websocket"]], ids=["sse", "websocket"])


class Command:
    """A running `manage.py` command, with what it has printed so far.

    Args:
        arguments: of `manage.py`.
        url: the gateway's, given as `GATEWAY_URL`.
        key: given as `GATEWAY_API_KEY`; None for none.
        stdin: text for its standard input.
    """

    def __init__(self, *arguments: str, url: str, key: str | None = None, stdin: bytes = b"") -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        environment |= {"GATEWAY_URL": url} | ({} if key is None else {"GATEWAY_API_KEY": key})
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self._news = threading.Condition()
        self.out: list[str] = []
        self.err: list[str] = []
        self.stdout = self.process.stdout
        self._readers = [self._collect(self.process.stdout, self.out), self._collect(self.process.stderr, self.err)]
        self.process.stdin.write(stdin)
        self.process.stdin.close()

    def _collect(self, stream: IO[bytes], lines: list[str]) -> threading.Thread:
        def collect() -> None:
            for line in stream:
                with self._news:
                    lines.append(line.decode().removesuffix("\n"))
                    self._news.notify_all()

        reader = threading.Thread(target=collect, daemon=True)
        reader.start()
        return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader, stream in zip(self._readers, (self.stdout, self.process.stderr), strict=True):
            reader.join(5)
            assert stream is not None
            stream.close()

    def wait_for(self, text: str, *, times: int = 1, within: float = SECONDS) -> None:
        """Wait until so many lines, on either output, have *text* in them."""

        def found() -> bool:
            return sum(text in line for line in [*self.out, *self.err]) >= times

        with self._news:
            assert self._news.wait_for(found, within), f"no {text!r} in {self.out} {self.err}"

    def end(self, within: float = SECONDS) -> int:
        """Wait until it has ended by itself, and return the exit code."""
        code = self.process.wait(within)
        for reader in self._readers:
            reader.join(5)
        return code


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with RunningGateway(retry_ms=200) as running:
        yield running


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    yield made
    made.close()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return f"topic-of-{abs(hash(request.node.nodeid))}"


def publish(gateway: RunningGateway, topic: str, data: str, event_id: str = "1") -> dict[str, Any] | None:
    """Publish without the command: the answer, None when dropped."""
    answer = httpx.post(
        f"{gateway.url}/publish",
        content=data,
        headers={"authorization": f"Bearer {gateway.key}", "x-sse-topic": topic, "x-sse-id": event_id},
    )
    assert answer.status_code in {200, 204}, answer.text
    return None if answer.status_code == 204 else answer.json()


def eventually(condition: Callable[[], bool], within: float = SECONDS) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@TRANSPORTS
def test_published_events_are_printed_and_hostile_data_is_harmless(
    gateway: RunningGateway, topic: str, transport: list[str]
) -> None:
    data = "\x1b[2Jclear\r\nsecond line\u202e"
    with Command("subscribe", topic, "--count", "2", *transport, url=gateway.url) as subscriber:
        subscriber.wait_for("Connected to")
        arguments = ("publish", f"{topic},nobody-{topic}", data, "--event", "greeting", "--id", "42")
        with Command(*arguments, url=gateway.url, key=gateway.key) as publisher:
            assert publisher.end() == 0, publisher.err
        (sentence,) = publisher.out
        assert sentence.startswith("Delivered to 1 subscriber")
        assert sentence.endswith(". Id 42.")
        publish(gateway, topic, "one line", "43")
        assert subscriber.end() == 0, subscriber.err
    first, second, third, last = subscriber.out
    assert first.endswith(f"Z  {topic},nobody-{topic}  42  greeting")
    assert [second, third] == [r"    \x1b[2Jclear", r"    second line\u202e"]
    assert last.endswith(f"Z  {topic}  43  message  one line")


@TRANSPORTS
def test_json_keeps_the_exact_data(gateway: RunningGateway, topic: str, transport: list[str], tmp_path: Path) -> None:
    data = "\x1b[2J\tgrüße 👩‍💻\n\n" + "x" * 200_000
    answers: list[dict[str, Any]] = []
    file = tmp_path / "data"
    file.write_bytes(data.encode())
    with Command("subscribe", topic, "--json", "--count", "3", *transport, url=gateway.url) as subscriber:
        subscriber.wait_for("Connected to")
        for arguments, stdin in ((["--file", str(file)], b""), (["-"], data.encode()), ([""], b"")):
            with Command(
                "publish", topic, *arguments, "--json", url=gateway.url, key=gateway.key, stdin=stdin
            ) as publisher:
                assert publisher.end() == 0, publisher.err
            answers += map(json.loads, publisher.out)
        assert subscriber.end() == 0, subscriber.err
    for answer in answers:
        assert answer.items() >= {"status": 200, "subscribers": 1, "topics": {topic: 1}}.items()
    events = [json.loads(line) for line in subscriber.out]
    assert [event["data"] for event in events] == [data, data, ""]
    assert {(event["type"], event["event"], *event["topics"]) for event in events} == {("event", "message", topic)}
    assert [event["id"] for event in events] == [answer["id"] for answer in answers]


def test_a_dropped_publish_says_so(gateway: RunningGateway, topic: str) -> None:
    with Command("publish", topic, "x", "--id", "7", url=gateway.url, key=gateway.key) as publisher:
        assert publisher.end() == 0
    assert publisher.out == ["Dropped: nobody is connected. Id 7."]
    arguments = ("publish", topic, "x", "--id", "8", "--json", "--fail-if-dropped")
    with Command(*arguments, url=gateway.url, key=gateway.key) as publisher:
        assert publisher.end() == 3
    assert [json.loads(line) for line in publisher.out] == [{"status": 204, "id": "8", "dropped": "no-subscribers"}]


def test_tail_shows_what_is_delivered_and_what_is_dropped(gateway: RunningGateway, topic: str) -> None:
    with (
        Command("tail", topic, url=gateway.url, key=gateway.key) as reading,
        Command("tail", topic, "--json", "--count", "2", url=gateway.url, key=gateway.key) as parsing,
    ):
        reading.wait_for("Connected to")
        parsing.wait_for("Connected to")
        assert publish(gateway, topic, "lost", "1") is None, "a tail makes no topic exist"
        with Command("subscribe", topic, "--count", "1", url=gateway.url) as subscriber:
            subscriber.wait_for("Connected to")
            assert publish(gateway, topic, "seen\x07", "2")
            assert subscriber.end() == 0
        assert parsing.end() == 0, parsing.err
        reading.wait_for(r"  2  message  seen\x07")
        reading.wait_for("  1  dropped: nobody is connected")
    dropped, event = map(json.loads, parsing.out)
    assert dropped.items() >= {"type": "dropped", "topics": [topic], "id": "1", "reason": "no-subscribers"}.items()
    assert event.items() >= {"type": "event", "topics": [topic], "id": "2", "data": "seen\x07"}.items()


@pytest.mark.parametrize("arguments", [("publish", "news", "x"), ("tail", "news")], ids=["publish", "tail"])
def test_a_wrong_key_is_refused_and_not_repeated(gateway: RunningGateway, arguments: tuple[str, ...]) -> None:
    with Command(*arguments, url=gateway.url, key="wr0ng-key") as command:
        assert command.end() == 1
    assert command.out == []
    (sentence,) = command.err
    assert "Check GATEWAY_API_KEY" in sentence
    assert "wr0ng-key" not in sentence


@pytest.mark.parametrize("arguments", [("publish", "news", "x"), ("tail", "news")], ids=["publish", "tail"])
def test_without_a_key_nothing_is_sent(relay: Relay, gateway: RunningGateway, arguments: tuple[str, ...]) -> None:
    relay.listen(gateway.url)
    with Command(*arguments, url=relay.url) as command:
        assert command.end() == 2
    assert "Set GATEWAY_API_KEY" in command.err[0]
    assert relay.requests == []


def test_the_key_comes_from_a_file(gateway: RunningGateway, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{gateway.key}\n")
    with Command("publish", topic, "x", "--key-file", str(file), url=gateway.url, key="wrong") as publisher:
        assert publisher.end() == 0, publisher.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("subscribe", "a b"),
        ("subscribe", "a b", "--websocket"),
        ("publish", "a b", "x"),
        ("publish", "news", "x", "--event", "gateway.open"),
        ("publish", "news", "x", "--id", "a b"),
        ("tail", "a b"),
    ],
    ids=" ".join,
)
def test_what_the_gateway_refuses_ends_with_its_reason(gateway: RunningGateway, arguments: tuple[str, ...]) -> None:
    with Command(*arguments, url=gateway.url, key=gateway.key) as command:
        assert command.end() == 1
    assert command.out == []
    (sentence,) = command.err
    title, _, detail = sentence.partition(": ")
    assert title
    assert detail
    assert "HTTP 400" not in sentence, "the words are the problem's"


def test_a_refusal_as_json_is_the_problem(gateway: RunningGateway, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * 3_000_000)
    arguments = ("publish", topic, "--file", str(file), "--json")
    with Command(*arguments, url=gateway.url, key=gateway.key) as publisher:
        assert publisher.end() == 1, publisher.err
    (line,) = publisher.out
    assert json.loads(line)["status"] == 413


@TRANSPORTS
def test_a_subscription_outlives_its_gateway(relay: Relay, topic: str, transport: list[str]) -> None:
    with RunningGateway(retry_ms=200) as first:
        relay.listen(first.url)
        subscriber = Command("subscribe", topic, "--count", "2", *transport, url=relay.url)
        with subscriber:
            subscriber.wait_for("Connected to")
            assert publish(first, topic, "before", "id-of-the-first")
            subscriber.wait_for("before")
            assert first.stop() == 0
            subscriber.wait_for("The gateway closed the connection (shutdown). Connecting again in")
            with RunningGateway(retry_ms=200) as second:
                relay.target = second.url
                subscriber.wait_for("Connected to", times=2)
                assert publish(second, topic, "after", "2")
                assert subscriber.end() == 0, subscriber.err
    assert [line.rsplit("  ", 1)[-1] for line in subscriber.out] == ["before", "after"]
    assert b"last-event-id" not in relay.requests[0].lower()
    assert b"last-event-id: id-of-the-first\r\n" in relay.requests[-1].lower()


@pytest.fixture(scope="module")
def keeping() -> Iterator[RunningGateway]:
    with RunningGateway(retry_ms=200, history="topic-*=10") as running:
        yield running


@TRANSPORTS
def test_a_subscription_begins_after_an_event_and_misses_nothing_when_it_is_cut(
    relay: Relay, keeping: RunningGateway, topic: str, transport: list[str]
) -> None:
    for number in range(4):
        assert publish(keeping, topic, f"data {number}", str(number)) is not None
    relay.listen(keeping.url)
    arguments = ("subscribe", topic, "--since", "1", "--count", "4", *transport)
    with Command(*arguments, url=relay.url) as subscriber:
        subscriber.wait_for("data 3")
        relay.cut()
        for number in range(4, 6):
            assert publish(keeping, topic, f"data {number}", str(number)) is not None
        assert subscriber.end() == 0, subscriber.err
    assert [line.rsplit("  ", 1)[-1] for line in subscriber.out] == [f"data {number}" for number in range(2, 6)]


@TRANSPORTS
def test_where_nothing_is_known_of_the_event_the_gap_is_told(
    keeping: RunningGateway, topic: str, transport: list[str]
) -> None:
    publish(keeping, topic, "kept", "1")
    with Command("subscribe", topic, "--since", "never", "--count", "1", *transport, url=keeping.url) as subscriber:
        assert subscriber.end() == 0, subscriber.err
        assert any(line.startswith("Gap: ") and "unknown-id" in line for line in subscriber.err)


@TRANSPORTS
def test_a_cut_connection_is_made_again(
    relay: Relay, gateway: RunningGateway, topic: str, transport: list[str]
) -> None:
    relay.listen(gateway.url)
    with Command("subscribe", topic, "--count", "1", *transport, url=relay.url) as subscriber:
        subscriber.wait_for("Connected to")
        relay.cut()
        subscriber.wait_for("Connected to", times=2)
        eventually(lambda: (publish(gateway, topic, "x") or {}).get("subscribers") == 1)
        assert subscriber.end() == 0


@TRANSPORTS
def test_silence_is_noticed(relay: Relay, gateway: RunningGateway, topic: str, transport: list[str]) -> None:
    relay.listen(gateway.url)
    with Command("subscribe", topic, "--silence", "1", *transport, url=relay.url) as subscriber:
        subscriber.wait_for("Connected to")
        relay.silent = True
        subscriber.wait_for("Connecting again in")
        relay.silent = False
        subscriber.wait_for("Connected to", times=2)


def test_publishing_waits_for_a_gateway_that_is_not_there_yet(
    relay: Relay, gateway: RunningGateway, topic: str
) -> None:
    with Command("publish", topic, "x", "--id", "1", url=relay.url, key=gateway.key) as publisher:
        publisher.wait_for("(connection refused). Trying again in")
        relay.listen(gateway.url)
        assert publisher.end() == 0
    assert publisher.out == ["Dropped: nobody is connected. Id 1."]


def test_publishing_gives_up_in_time(relay: Relay) -> None:
    with Command("publish", "news", "x", "--timeout", "0.5", url=relay.url, key="any") as publisher:
        assert publisher.end() == 1
    assert publisher.out == []
    assert publisher.err[-1].endswith("(connection refused). Gave up after 0.5 s; nothing was published.")


def test_an_answer_that_is_lost_is_not_taken_for_either(relay: Relay, gateway: RunningGateway) -> None:
    relay.silent = True
    relay.listen(gateway.url)
    with Command("publish", "news", "x", "--timeout", "1", url=relay.url, key=gateway.key) as publisher:
        assert publisher.end() == 1
    assert publisher.out == []
    assert "may have been published or not" in publisher.err[-1]
    assert len(relay.requests) == 1, "a repeated event would arrive twice"


def test_an_administrator_closes_a_subscription_and_it_comes_back(gateway: RunningGateway, topic: str) -> None:
    with Command("subscribe", topic, url=gateway.url) as subscriber:
        subscriber.wait_for("Connected to")
        connection = subscriber.err[0].partition("connection ")[2].partition(",")[0]
        answer = httpx.delete(
            f"{gateway.url}/api/v1/connections/{connection}", headers={"authorization": f"Bearer {gateway.key}"}
        )
        assert answer.status_code == 204, answer.text
        subscriber.wait_for("The gateway closed the connection (closed-by-administrator)")
        subscriber.wait_for("Connected to", times=2)


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (("subscribe",), signal.SIGINT, 130),
        (("subscribe", "--websocket"), signal.SIGTERM, 0),
        (("tail",), signal.SIGTERM, 0),
    ],
    ids=["sse", "websocket", "tail"],
)
def test_a_signal_ends_it_cleanly(
    gateway: RunningGateway, topic: str, arguments: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with Command(*arguments, topic, url=gateway.url, key=gateway.key) as command:
        command.wait_for("Connected to")
        command.process.send_signal(number)
        assert command.end() == code
    assert command.out == []
    assert len(command.err) == 1, "nothing but the opening"


def test_a_reader_that_leaves_ends_it_without_another_event(gateway: RunningGateway, topic: str) -> None:
    script = '"$0" "$1" subscribe "$2" | head -1; echo "${PIPESTATUS[@]}"'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    with subprocess.Popen(
        ["bash", "-c", script, sys.executable, str(ROOT / "manage.py"), topic],
        env=environment | {"GATEWAY_URL": gateway.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shell:
        try:
            assert shell.stderr
            assert "Connected to" in shell.stderr.readline()
            publish(gateway, topic, "the only one")
            out, err = shell.communicate(timeout=SECONDS)
        finally:
            if shell.poll() is None:
                shell.kill()
    event, statuses = out.splitlines()
    assert event.endswith("the only one")
    assert statuses == "0 0"
    assert err == ""
