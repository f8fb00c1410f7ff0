"""A crowd of EventSource-like clients that comes back with its last id, while nodes are restarted one after another."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

FIRST_RETRY_MS = 3000


@dataclass
class Judge:
    """What all clients have seen."""

    received: int = 0
    lost: int = 0
    repeated: int = 0
    gaps: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    reconnects: list[float] = field(default_factory=list, repr=False)
    """When each client came back, on the monotonic clock."""

    def most_in_a_second(self, begun: float, seconds: float) -> tuple[int, float]:
        """The most reconnects of one second, and the mean from the first to the last of them, for one restart."""
        times = [at - begun for at in self.reconnects if 0 <= at - begun < seconds]
        if not times:
            return 0, 0.0
        first = min(times)
        by_second = Counter(int(at - first) for at in times)
        return max(by_second.values()), len(times) / (max(times) - first or 1)


class Client:
    """One subscriber of one topic, whose events are numbered."""

    def __init__(self, url: str, topic: str, judge: Judge) -> None:
        self._address = (urlsplit(url).hostname, urlsplit(url).port)
        self.topic, self._judge = topic, judge
        self._retry = FIRST_RETRY_MS / 1000
        self.last = 0
        """Number of the last event received; ids are topic-number."""
        self.open = asyncio.Event()

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        came_back = False
        while True:
            try:
                await self._follow(came_back=came_back)
            except (OSError, asyncio.IncompleteReadError):
                self._judge.refused["connection"] += 1
            self.open.clear()
            came_back = True
            await asyncio.sleep(self._retry)

    async def _follow(self, *, came_back: bool) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            request = f"GET /sse?topic={self.topic} HTTP/1.1\r\nhost: gateway\r\n"
            if self.last:
                request += f"last-event-id: {self.topic}-{self.last}\r\n"
            if came_back:
                self._judge.reconnects.append(time.monotonic())
            writer.write((request + "\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                self._judge.refused[head.split(b"\r\n", 1)[0].decode()] += 1
                return
            kind = ""
            # The last chunk ends the stream; a proxy keeps the TCP connection.
            while (line := await reader.readline()) and line != b"0\r\n":
                self._line(line, kind)
                kind = line[7:].strip().decode() if line.startswith(b"event: ") else ("" if line == b"\n" else kind)
        finally:
            writer.close()

    def _line(self, line: bytes, kind: str) -> None:
        if line.startswith(b"event: gateway.open"):
            self.open.set()
        elif line.startswith(b"retry: "):
            self._retry = int(line[7:]) / 1000
        elif line.startswith(b"data: ") and kind == "gateway.gap":
            self._judge.gaps += 1
        elif line.startswith(b"id: "):
            number = int(line.rpartition(b"-")[2])
            if number <= self.last:
                self._judge.repeated += 1
                return
            if self.last:
                self._judge.lost += number - self.last - 1
            self._judge.received += 1
            self.last = number


class Publisher:
    """Publishes numbered events to the topics in turn, until told to stop; tries again what was not accepted."""

    def __init__(self, url: str, key: str, topics: list[str], per_second: float) -> None:
        self._url, self._key, self.topics, self._pause = url, key, topics, 1 / per_second
        self.numbers = dict.fromkeys(topics, 0)
        self.tried_again = 0
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Publish."""
        async with httpx.AsyncClient(
            base_url=self._url, headers={"authorization": f"Bearer {self._key}"}, trust_env=False, timeout=5
        ) as http:
            turn = 0
            while not self.stop.is_set():
                topic = self.topics[turn % len(self.topics)]
                turn += 1
                await self._publish(http, topic, self.numbers[topic] + 1)
                self.numbers[topic] += 1
                await asyncio.sleep(self._pause)

    async def _publish(self, http: httpx.AsyncClient, topic: str, number: int) -> None:
        headers = {"x-sse-topic": topic, "x-sse-id": f"{topic}-{number}"}
        while True:
            try:
                answer = await http.post("/publish", content=json.dumps({"number": number}), headers=headers)
                if answer.status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            self.tried_again += 1
            await asyncio.sleep(0.2 + random.random() / 10)
