"""Prints the events of topics, over SSE or a WebSocket, and comes back when the connection breaks. See ../README.md."""

import argparse
import json
import logging
import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

say = partial(print, file=sys.stderr, flush=True)
open_socket = partial(connect, close_timeout=1, max_size=None)


class Refused(Exception):
    """The gateway answered with an error; `wait`: for how many seconds at least, None if for ever."""

    def __init__(self, status: int, body: bytes | bytearray, headers: Mapping[str, str]) -> None:
        try:
            problem = json.loads(body)  # RFC 9457, when it is the gateway that answers.
            super().__init__(f"Refused ({status}): {problem['title']}. {problem['detail']}".removesuffix("."))
        except (ValueError, KeyError, TypeError):
            super().__init__(f"Refused ({status})")
        seconds = headers.get("retry-after", "")
        self.wait = float(seconds if seconds.isdecimal() else 0) if status >= 500 or status in {408, 425, 429} else None


def sse(url: str, topics: str, silence: float, last_event_id: str) -> Iterator[dict[str, Any]]:
    """What one SSE response brings, until it ends or no byte comes for too long; keep-alives are bytes, too."""
    headers = {b"x-sse-topic": topics.encode(), b"last-event-id": last_event_id.encode()}
    with httpx.stream("GET", f"{url}/sse?format=json", headers=headers, timeout=silence) as answer:
        if answer.status_code != 200:
            raise Refused(answer.status_code, answer.read(), answer.headers)
        for block in EventSource(answer).iter_sse():
            yield {"type": "retry", "retry": block.retry}
            if block.data:  # Else a keep-alive, which httpx-sse gives, too. The gateway's own have their type as name.
                yield {"type": block.event.removeprefix("gateway.")} | json.loads(block.data)


def websocket(url: str, topics: str, quiet: float, last_event_id: str) -> Iterator[dict[str, Any]]:
    """What one WebSocket brings, until it is closed."""
    uri = f"ws{url.removeprefix('http')}/ws?{httpx.QueryParams(topic=topics, last_event_id=last_event_id)}"
    try:
        with open_socket(uri, open_timeout=quiet, ping_interval=quiet / 2, ping_timeout=quiet / 2) as socket:
            yield from map(json.loads, socket)
    except InvalidStatus as error:
        raise Refused(error.response.status_code, error.response.body, error.response.headers) from error


def follow(url: str, topics: str, silence: float, last_id: str, *, over_websocket: bool) -> Iterator[dict[str, Any]]:
    """The events that one connection after the other brings."""
    retry, failures = 3.0, 0  # Seconds; attempts in a row.
    while True:
        reason, wait = "The connection ended", 0.1
        try:
            for message in (websocket if over_websocket else sse)(url, topics, silence, last_id):
                match message:
                    case {"type": "event", "id": last_id}:
                        yield message
                    case {"type": "open", "topics": names}:
                        failures = 0
                        say(f"Connected to {url} (topics: {', '.join(names)}).")
                    case {"type": "gap", "topic": topic, "missed": n, "reason": why}:
                        say(f"Gap: {'some' if n is None else n} events of topic {topic} did not arrive ({why}).")
                    case {"type": "close", "reason": why, "retry": milliseconds}:
                        reason, wait = f"The gateway closed the connection ({why})", (retry := milliseconds / 1000)
                        break
                    case {"type": "retry", "retry": int(milliseconds)}:
                        retry = milliseconds / 1000
        except Refused as error:
            if error.wait is None:
                raise
            reason, wait = str(error), error.wait
        except (httpx.TransportError, OSError, WebSocketException) as exc:
            reason = f"Nothing came for {silence:g} s" if isinstance(exc, httpx.ReadTimeout) else str(exc) or repr(exc)
        wait = max(0.1, wait, max(retry, min(30.0, retry * 2 ** min(failures, 10))) * random.uniform(0.5, 1))  # noqa: S311
        failures += 1
        say(f"{reason}. Connecting again in {wait:.1f} s.")
        time.sleep(wait)


def main() -> None:
    """The program."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # Else it prints a traceback of each silence.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(description="Print the events of topics.")
    parser.add_argument("--url", default=os.getenv("GATEWAY_URL") or "http://127.0.0.1:8000")
    parser.add_argument("--websocket", action="store_true", help="a WebSocket instead of SSE")
    parser.add_argument("--last-event-id", default="", help="begin after this event")
    parser.add_argument("--silence", type=float, default=45.0, help="seconds without a byte that end a connection")
    parser.add_argument("topic", nargs="*", default=[os.getenv("GATEWAY_TOPICS", "")])
    options = parser.parse_args()
    url, topics = options.url.rstrip("/"), ",".join(options.topic)
    address = re.fullmatch(r"https?://(?:\[[\da-f:.]+]|[\w.-]+)(?::(\d+))?(?:/[^?#\s]*)?", url)
    if not address or int(address[1] or 80) > 65_535:
        parser.error(f"{url!r} is not an address like http://127.0.0.1:8000")
    if not topics or not 0 < options.silence <= 86_400:
        parser.error("name a topic, or set GATEWAY_TOPICS; --silence is a number of seconds, a day at most")
    try:
        for event in follow(url, topics, options.silence, options.last_event_id, over_websocket=options.websocket):
            print(json.dumps(event), flush=True)
    except (Refused, SSEError) as error:
        sys.exit(f"{error}.")
    except BrokenPipeError:  # Nobody reads the events any more. (sys.exit would write again, and tell of it.)
        os._exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
