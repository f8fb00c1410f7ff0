"""Each language's publisher with each language's subscriber, over SSE and over WebSocket, through a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.examples.conftest import language_or_skip
from tests.examples.languages import LANGUAGES, NotRun, built
from tests.examples.places import PLACES, Place, place
from tests.examples.programs import Running, publisher, subscriber

TRANSPORTS = ("sse", "websocket")
SECONDS = 120.0
PUBLISHER_SECONDS = "100"
EACH = 20
"""Lines of each publisher before the restart, during it, and after it."""

TEXTS = (
    "plain",
    "",
    "  spaces around  ",
    "\ttab\tand\x0bvertical\x0cform\x1cfile\x85next line",
    "Grüße, 世界 🌍",
    "no line ends: \u2028 and \u2029, nor a lone \r within",
    '{"json": [1, null], "text": "\\"\\\\"}',
    "data: looks like a field",
)


def lines(language: str, part: str) -> list[str]:
    """What the publisher of a language reads in a part of the run, every line once."""
    return [f"{language} {part} {number} {TEXTS[number % len(TEXTS)]}" for number in range(EACH)]


@dataclass(frozen=True, slots=True)
class Exchange:
    """All that was published and received at one place."""

    sent: dict[str, list[str]]
    answers: dict[str, list[dict[str, Any]]]
    received: dict[tuple[str, str], list[dict[str, Any]]]
    told: dict[tuple[str, str], list[str]]
    subscribers: int


def run_exchange(where: Place, names: list[str]) -> Exchange:
    """Let every publisher publish and every subscriber print, while the gateway is restarted in between."""
    with ExitStack() as stack:
        subscribers: dict[tuple[str, str], Running] = {}
        publishers: dict[str, Running] = {}
        for number, name in enumerate(names):
            language = built(name)
            for transport in TRANSPORTS:
                node = where.url(number + len(subscribers))
                program = subscriber(language, node, where.topic, websocket=transport == "websocket")
                subscribers[name, transport] = stack.enter_context(program)
            options = ("--event", name, "--timeout", PUBLISHER_SECONDS)
            program = publisher(language, where.url(number + 1), where.key, where.topic, *options)
            publishers[name] = stack.enter_context(program)
        for program in subscribers.values():
            program.tells("Connected to ")
        sent: dict[str, list[str]] = {name: [] for name in names}

        def write(part: str) -> None:
            for name, program in publishers.items():
                sent[name] += lines(name, part)
                program.write(*lines(name, part))

        write("before")
        for program in publishers.values():
            program.prints(EACH, SECONDS)
        restarting = threading.Thread(target=where.restart)
        restarting.start()
        while restarting.is_alive() and not _one_has_lost(subscribers):
            time.sleep(0.01)
        write("during")
        restarting.join()
        for program in subscribers.values():
            program.tells("Connected to ", count=2, seconds=SECONDS)
        write("after")
        for program in publishers.values():
            program.end_of_input()
        for program in publishers.values():
            assert program.wait(SECONDS) == 0, program
        for program in subscribers.values():
            try:
                program.prints(3 * EACH * len(names), SECONDS)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{_left_out(program, publishers)}") from None
        for program in subscribers.values():
            assert program.interrupt() == 0, program
        return Exchange(
            sent,
            {name: program.events for name, program in publishers.items()},
            {key: program.events for key, program in subscribers.items()},
            {key: program.stderr for key, program in subscribers.items()},
            len(subscribers),
        )


def _left_out(program: Running, publishers: dict[str, Running]) -> str:
    """Which events a subscriber has not printed: of each publisher, the numbers of its lines."""
    printed = {event["id"] for event in program.events}
    return "\n".join(
        f"not printed of {name}: {[at for at, answer in enumerate(each.events) if answer['id'] not in printed]}"
        for name, each in publishers.items()
    )


def _one_has_lost(subscribers: dict[tuple[str, str], Running]) -> bool:
    return any("Connecting again" in line for program in subscribers.values() for line in program.stderr)


@pytest.fixture(scope="module", params=PLACES)
def exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    names = []
    for name in LANGUAGES:
        try:
            built(name)
        except NotRun:
            continue
        names.append(name)
    folder: Path = tmp_path_factory.mktemp("place")
    try:
        with place(request.param, folder) as where:
            yield run_exchange(where, names)
    except NotRun as missing:
        pytest.skip(str(missing))


@pytest.mark.timeout(900)  # With the first of them the examples are built, and the gateway is started and restarted.
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("subscriber", LANGUAGES)
@pytest.mark.parametrize("publisher", LANGUAGES)
def test_a_pair_loses_nothing_over_a_restart(
    exchange: Exchange, publisher: str, subscriber: str, transport: str
) -> None:
    for name in (publisher, subscriber):
        language_or_skip(name)
    answers = exchange.answers[publisher]
    assert [answer["status"] for answer in answers] == [200] * 3 * EACH
    assert [answer["subscribers"] for answer in answers[:EACH]] == [exchange.subscribers] * EACH
    events = [event for event in exchange.received[subscriber, transport] if event["event"] == publisher]
    assert [event["data"] for event in events] == exchange.sent[publisher]
    assert [event["id"] for event in events] == [answer["id"] for answer in answers]


@pytest.mark.timeout(900)
def test_all_see_one_order_and_no_gap(exchange: Exchange) -> None:
    orders = {key: [event["id"] for event in events] for key, events in exchange.received.items()}
    first = next(iter(orders.values()))
    assert all(order == first for order in orders.values()), orders
    for key, told in exchange.told.items():
        assert not [line for line in told if line.startswith("Gap")], (key, told)
        assert [line for line in told if "The gateway closed the connection" in line], (key, told)
