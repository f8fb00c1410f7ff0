"""A message source that receives another service's webhooks: a push to a repository becomes an event.

    WEBHOOK_SECRET=… WEBHOOK_PORT=9000 GATEWAY_SOURCES=examples.sources.webhook.Webhook manage.py serve

Then have the repository's server (GitHub, Gitea, Forgejo) post its pushes as JSON to http://HOST:9000/. The topic is
`repository:OWNER/NAME`, the event type that of the delivery (`push`, `issues`, …), its id the delivery's.
"""

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn, Unreachable

MAX_BODY_BYTES = 1_048_576
SECONDS = 10.0
"""Longest time that a sender may take."""


class Webhook:
    """A small HTTP server, since a webhook's sender wants an answer at a place of its own."""

    name = "webhook"
    # The sender is told of success only when the event has been routed, and tries again otherwise.
    guarantee: Guarantee = "at-least-once"
    # Whichever node the sender reaches.
    runs_on: RunsOn = "every-node"

    def __init__(self, settings: Any) -> None:
        self._secret = os.environ.get("WEBHOOK_SECRET", "").encode()
        self._host = os.environ.get("WEBHOOK_HOST", "127.0.0.1")
        self._port = os.environ.get("WEBHOOK_PORT", "9000")

    def validate(self) -> None:
        """Refuse to listen to everybody."""
        if not self._secret:
            raise Misconfigured("The source webhook needs a secret; set WEBHOOK_SECRET, and the same at the sender.")
        if not self._port.isdigit() or int(self._port) > 65_535:
            raise Misconfigured("WEBHOOK_PORT must be a port, 0 to 65535.")

    async def run(self, publish: Publish) -> None:
        """Listen until cancelled."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(SECONDS):
                    status = await self._receive(reader, publish)
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
            except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                # The sender gets no answer and sends it again.
                return
            finally:
                writer.close()

        try:
            server = await asyncio.start_server(answer, self._host, int(self._port))
        except OSError as error:
            raise Unreachable(f"Port {self._port} cannot be listened on: {error.strerror}.") from error
        async with server:
            publish.connected()
            await server.serve_forever()

    async def close(self) -> None:
        """Hold nothing."""

    async def _receive(self, reader: asyncio.StreamReader, publish: Publish) -> str:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if not first.startswith("POST "):
            return "405 Method Not Allowed\r\nallow: POST"
        length = headers.get("content-length", "")
        if not length.isdigit() or len(length) > 9:
            return "411 Length Required"
        if int(length) > MAX_BODY_BYTES:
            return "413 Content Too Large"
        body = await reader.readexactly(int(length))
        wanted = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), headers.get("x-hub-signature-256", "").encode("latin-1")):
            return "401 Unauthorized"
        return await _publish(body, headers, publish)


async def _publish(body: bytes, headers: Mapping[str, str], publish: Publish) -> str:
    delivery = headers.get("x-github-delivery")
    try:
        data = body.decode()
        repository = json.loads(data)["repository"]["full_name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        publish.dead("It is not JSON that names a repository.", id=delivery)
        return "422 Unprocessable Content"
    await publish([f"repository:{repository}"], data, id=delivery, event=headers.get("x-github-event"))
    return "202 Accepted"
