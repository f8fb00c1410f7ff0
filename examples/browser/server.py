"""Serves the pages of this folder, and publishes for them: the API key stays here, no page ever has it.

    GATEWAY_URL=http://127.0.0.1:8000 GATEWAY_API_KEY=... python3 server.py

Nothing but Python 3.11 is needed. Your own server does the same with its own framework (see ../publish), and knows who
is signed in: this one takes everybody at his word, so it listens on this machine alone.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GATEWAY = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000").rstrip("/")
KEY = os.environ.get("GATEWAY_API_KEY", "")
PORT = int(os.environ.get("PORT", "9000"))
STEPS = ("reading", "counting", "sorting", "writing")
LONGEST_BODY = 10_000


def publish(topic: str, data: object, event: str = "message") -> None:
    """Publish JSON to a topic; a gateway that cannot take it now is asked again for half a minute."""
    headers = {"authorization": f"Bearer {KEY}", "x-sse-topic": topic, "x-sse-id": str(uuid.uuid4())}
    headers["x-sse-event"] = event
    # The address is the administrator's own.
    request = urllib.request.Request(f"{GATEWAY}/publish", json.dumps(data).encode(), headers)  # noqa: S310
    for wait in (0.5, 1, 2, 4, 8, 16, None):
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310
                return  # 200, or 204: nobody is there, which is no failure.
        except urllib.error.HTTPError as refusal:
            if refusal.code not in {408, 429, 502, 503, 504} or wait is None:
                raise
        except OSError:
            if wait is None:
                raise
        time.sleep(wait)


def run_job(topic: str) -> None:
    """A job that takes a while, and tells how far it is. Each event holds all that a page shows."""
    for percent in range(0, 100, 5):
        publish(topic, {"percent": percent, "step": STEPS[percent * len(STEPS) // 100]}, "progress")
        time.sleep(0.1)
    publish(topic, {"percent": 100, "result": "1,234 rows"}, "done")


class Pages(SimpleHTTPRequestHandler):
    """The files of this folder, and two things that its pages ask for."""

    def do_POST(self) -> None:
        """`/chat` with `name` and `text`; `/jobs` with the `topic` that the page listens to."""
        try:
            # A page of another site cannot send this content type without asking first.
            if self.headers.get_content_type() != "application/json":
                self.answer(415, "Send JSON.")
                return
            body = json.loads(self.rfile.read(min(int(self.headers["content-length"]), LONGEST_BODY)))
            if self.path == "/chat":
                publish("chat.lobby", {"name": str(body["name"])[:40], "text": str(body["text"])[:2000]})
                self.answer(202, "Published.")
            elif self.path == "/jobs" and str(body["topic"]).startswith("job."):
                threading.Thread(target=run_job, args=(str(body["topic"]),), daemon=True).start()
                self.answer(202, "Started.")
            else:
                self.answer(404, "There is nothing here.")
        except (KeyError, TypeError, ValueError):
            self.answer(400, "The body is malformed.")
        except OSError as error:
            self.answer(502, f"The gateway did not take it: {error}")

    def answer(self, status: int, detail: str) -> None:
        """Answer with a word for whoever reads it."""
        content = json.dumps({"detail": detail}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    if not KEY:
        sys.exit("Set GATEWAY_API_KEY to a key of the gateway.")
    folder = Path(__file__).resolve().parent
    with ThreadingHTTPServer(("127.0.0.1", PORT), functools.partial(Pages, directory=folder)) as server:
        print(f"http://127.0.0.1:{server.server_port}/?gateway={GATEWAY}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)
