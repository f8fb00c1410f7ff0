"""What the clients of a storm do, decided by its seed; only the moments at which things meet are the machine's."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

TOPICS = tuple(f"storm/{name}" for name in ("ant", "bee", "cat", "dog", "elk", "fox"))
QUIET = "quiet"
"""A topic without history and without events, for a WebSocket that adds its real one by a command."""

Form = Literal["sse-header", "sse-query", "sse-stale", "sse-json", "ws", "ws-command"]
"""How a client says where it stands: by header; by query; by header, with the query of its first visit left as a
browser leaves it; by header, reading JSON; by query of a WebSocket; by a WebSocket's subscribe command."""

FORMS: tuple[Form, ...] = ("sse-header", "ws", "sse-query", "sse-stale", "ws-command", "sse-json", "ws")
Leaving = Literal["clean", "reset"]


@dataclass(frozen=True, slots=True)
class Visit:
    """One connection of a client.

    Args:
        node: number of the node that it goes to; more than there are counts round.
        stays: seconds until it leaves by itself.
        leaving: how.
        away: seconds until it comes back.
    """

    node: int
    stays: float
    leaving: Leaving
    away: float


class Client:
    """The plan of one subscriber: what it holds, and an endless row of visits.

    Args:
        seed: the storm's.
        number: the client's.
    """

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        self.form: Form = FORMS[number % len(FORMS)]
        self.name = f"client {number} ({self.form})"
        self._dice = random.Random(f"{seed}/client/{number}")
        # Only one topic by a command: of several, the events of the topics that it holds already come between.
        count = 1 if self.form == "ws-command" else self._dice.choice((1, 1, 2, 3))
        self.topics = tuple(self._dice.sample(TOPICS, count))

    def visit(self) -> Visit:
        """The next visit: most last seconds, some end while the replay is under way."""
        stays = self._dice.uniform(0, 0.05) if self._dice.random() < 0.15 else self._dice.expovariate(1 / 3)
        return Visit(
            node=self._dice.randrange(1 << 16),
            stays=stays,
            leaving=self._dice.choice(("clean", "reset")),
            away=self._dice.choice((0, self._dice.uniform(0, 0.3), self._dice.uniform(0, 2))),
        )


@dataclass(frozen=True, slots=True)
class Post:
    """One publish.

    Args:
        id: unique in the storm.
        topics: one or several.
        node: number of the node that it goes to, as in `Visit`.
        pause: seconds before it.
    """

    id: str
    topics: tuple[str, ...]
    node: int
    pause: float


class Publisher:
    """The plan of one publisher: single events, and bursts without a pause.

    Args:
        seed: the storm's.
        name: the publisher's; its events' ids begin with it.
        per_second: events, about.
    """

    def __init__(self, seed: int, name: str, per_second: float) -> None:
        self.name = name
        self._dice = random.Random(f"{seed}/publisher/{name}")
        self._per_second = per_second
        self._number = 0
        self._burst = 0

    def post(self) -> Post:
        """The next publish."""
        self._number += 1
        if self._burst:
            self._burst -= 1
            pause = 0.0
        else:
            size = self._dice.choice((0, 0, 0, 0, 9))
            self._burst = size
            pause = self._dice.expovariate(self._per_second / 2.8)
        count = self._dice.choice((1, 1, 1, 2, 3))
        return Post(
            id=f"{self.name}-{self._number}",
            topics=tuple(self._dice.sample(TOPICS, count)),
            node=self._dice.randrange(1 << 16),
            pause=pause,
        )


def data_of(event: str) -> str:
    """The data of the event with an id: of several lengths, some of several lines, one in fifty of 8 kB."""
    dice = random.Random(event)
    length = 8000 if dice.random() < 0.02 else dice.randrange(10, 300)
    return f"{event}\n" + "ä\n" * dice.randrange(2) + "x" * length
