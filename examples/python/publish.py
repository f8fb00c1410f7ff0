"""Publishes events: each further argument is one, or each line of standard input. See ../README.md."""

import argparse
import json
import os
import random
import re
import signal
import sys
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

ASK_AGAIN = {408, 425, 429, 502, 503, 504}


class Refused(Exception):
    """The gateway will not take the event, or could not be asked in time."""


class Publisher:
    """Publishes to the same topics, one event after the other, on one connection."""

    def __init__(self, url: str, key: str, topics: str, event: str | None, timeout: float) -> None:
        self.url = f"{url}/publish"
        self.headers = {"authorization": f"Bearer {key}", "x-sse-topic": topics}
        if event is not None:
            self.headers["x-sse-event"] = event
        self.timeout = timeout
        self.http = httpx.Client()

    def publish(self, data: bytes) -> dict[str, Any]:
        """Tries for as long as that can help, and returns what the gateway answered.

        The id is the same on each try: with GATEWAY_DEDUPE_SECONDS the gateway delivers such an event once.
        """
        event_id = str(uuid.uuid4())
        # As bytes: of what cannot be in a header the gateway says more than an encoding error would.
        headers = {name.encode(): value.encode() for name, value in (self.headers | {"x-sse-id": event_id}).items()}
        deadline = time.monotonic() + self.timeout
        delay = 0.25
        while True:
            wait = random.uniform(delay / 2, delay)  # noqa: S311
            delay = min(10.0, delay * 2)
            try:
                left = max(0.1, deadline - time.monotonic())
                answer = self.http.post(self.url, content=data, headers=headers, timeout=left)
            except httpx.LocalProtocolError as error:
                raise Refused(f"It cannot be sent: {error}.") from error
            except httpx.TransportError as error:
                reason = f"No answer: {str(error) or type(error).__name__}."
            else:
                if answer.status_code == 200:
                    return {"status": 200, "id": event_id, "subscribers": answer.json()["subscribers"]}
                if answer.status_code == 204:  # Nobody is connected.
                    return {"status": 204, "id": event_id, "subscribers": 0}
                reason = refusal(answer)
                if answer.status_code not in ASK_AGAIN:
                    raise Refused(reason)
                if (seconds := answer.headers.get("retry-after", "")).isdecimal():
                    wait = max(wait, float(seconds))
            if time.monotonic() + wait >= deadline:
                raise Refused(f"{reason} Gave up after {self.timeout:g} s.")
            time.sleep(wait)


def refusal(answer: httpx.Response) -> str:
    """The gateway's problem (RFC 9457) as a sentence; of an answer that is none, its status."""
    try:
        problem = answer.json()
        return f"Refused ({answer.status_code}): {problem['title']}. {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"Refused ({answer.status_code})."


def main() -> int:
    """The program; returns its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(description="Publish events to a gateway.")
    parser.add_argument("--url", default=os.getenv("GATEWAY_URL") or "http://127.0.0.1:8000")
    parser.add_argument("--key-file", type=Path, help="its first line is the API key (default: GATEWAY_API_KEY)")
    parser.add_argument("--event", help="the event type")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to try one event again (default: 30)")
    parser.add_argument("topic", nargs="?", default=os.getenv("GATEWAY_TOPICS"))
    parser.add_argument("data", nargs="*", help="one event each (default: the lines of standard input)")
    options = parser.parse_args()
    try:
        key = options.key_file.read_text().split("\n")[0] if options.key_file else os.getenv("GATEWAY_API_KEY", "")
    except OSError as error:
        parser.error(f"the key file cannot be read: {error}")
    address = re.fullmatch(r"https?://(?:\[[\da-f:.]+]|[\w.-]+)(?::(\d+))?(?:/[^?#\s]*)?", options.url)
    if not address or int(address[1] or 80) > 65_535:
        parser.error(f"{options.url!r} is not an address like http://127.0.0.1:8000")
    if not 0 < options.timeout <= 86_400:
        parser.error("--timeout is a number of seconds, a day at most")
    if not options.topic:
        parser.error("name a topic, or set GATEWAY_TOPICS")
    if not key.strip():
        parser.error("set GATEWAY_API_KEY, or give --key-file")
    publisher = Publisher(options.url.rstrip("/"), key.strip(), options.topic, options.event, options.timeout)
    lines = (line.removesuffix(b"\n").removesuffix(b"\r") for line in sys.stdin.buffer)
    events: Iterable[bytes] = map(os.fsencode, options.data) if options.data else lines
    try:
        for data in events:
            print(json.dumps(publisher.publish(data)), flush=True)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # Nobody reads the answers any more. (sys.exit would write again, and tell of it.)
        os._exit(128 + signal.SIGPIPE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
