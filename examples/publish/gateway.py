"""Publishes to the gateway over HTTP, from code that may wait. Copy it into your project."""

import os
import random
import time
import uuid

import httpx

URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000")
ASK_AGAIN = {408, 425, 429, 502, 503, 504}

_http = httpx.Client(timeout=10, headers={"authorization": f"Bearer {os.environ['GATEWAY_API_KEY']}"})


def publish(topic: str, data: str, *, event: str = "message", attempts: int = 5) -> int:
    """Publishes one event; returns how many subscribers it had.

    It is tried again, with the same id, where that can help.

    Raises:
        httpx.HTTPError: it was refused, or the gateway could not be reached at all.
    """
    headers = {"x-sse-topic": topic, "x-sse-id": str(uuid.uuid4()), "x-sse-event": event}
    for attempt in range(attempts):
        wait = 0.25 * 2**attempt * random.uniform(0.5, 1)  # noqa: S311
        try:
            answer = _http.post(f"{URL}/publish", content=data.encode(), headers=headers)
            if answer.status_code not in ASK_AGAIN or attempt == attempts - 1:
                answer.raise_for_status()
                return int(answer.json()["subscribers"]) if answer.status_code == 200 else 0
            wait = max(wait, float(answer.headers.get("retry-after", 0)))
        except httpx.TransportError:
            if attempt == attempts - 1:
                raise
        time.sleep(wait)
    raise AssertionError("at least one attempt")
