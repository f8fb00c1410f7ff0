"""Is the process alive, and can it deliver: `/health` and `/ready`.

Plain ASGI, answered in a turn or two of the event loop: who asks is an orchestrator that restarts or cuts off what does
not answer in time, and it asks in the middle of the largest fan-out, too. The answer is a word, as clients of an older
service expect it; who asks for JSON gets more (docs/explanation/older-clients.md).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from publishing.sources import running as running_sources
from topics.asgi import Application, Receive, Scope, Send
from topics.consumers.subscription import header
from topics.exceptions import PlacementUnavailable
from topics.problems import method_not_allowed
from topics.process import running
from topics.responses import refuse, respond

READY_SECONDS = 2.0
"""How long the message through the layer may take before the node counts as not ready."""

_ALLOW = "GET, HEAD, OPTIONS"

Answer = tuple[int, Mapping[str, object]]


async def _health() -> Answer:
    # Nothing else is asked, so that a lost store does not restart every node.
    return 200, {"status": "ok"}


async def _ready() -> Answer:
    # Whether this node can really deliver: it passes a message through the layer to itself.
    try:
        async with asyncio.timeout(READY_SECONDS):
            runtime = await running()
            if runtime.hub.draining:
                return _not_ready("draining", "This node is shutting down.")
            await runtime.placement.check()
    except PlacementUnavailable:
        return _not_ready("unavailable", "The placement store cannot be reached.")
    except TimeoutError:
        return _not_ready("unavailable", f"The placement store did not answer within {READY_SECONDS:g} seconds.")
    # A source that fails does not make the node useless: it still serves its connections and publishers.
    sources = {source.name: source.state for source in running_sources.status()}
    # Nor does a history that cannot be reached: what is live goes on, and so do the topics without history.
    history = runtime.history
    return 200, {
        "status": "ready",
        **({"sources": sources} if sources else {}),
        **({"history": "ok" if history.available else "unavailable"} if history is not None else {}),
    }


def _not_ready(status: str, detail: str) -> Answer:
    return 503, {"status": status, "detail": detail}


def _endpoint(ask: Callable[[], Awaitable[Answer]], word: str) -> Application:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "OPTIONS":
            await respond(send, 204, [(b"allow", _ALLOW.encode())])
            return
        if method not in ("GET", "HEAD"):
            await refuse(send, method_not_allowed(method, _ALLOW))
            return
        status, answer = await ask()
        as_json = b"application/json" in (header(scope, b"accept") or b"").lower()
        text = json.dumps(answer) if as_json else word if status == 200 else f"{answer['status']}: {answer['detail']}"
        body = text.encode()
        headers = [
            (b"content-type", b"application/json" if as_json else b"text/plain; charset=utf-8"),
            (b"vary", b"accept"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if status != 200:
            headers.append((b"retry-after", b"1"))
        await respond(send, status, headers, b"" if method == "HEAD" else body)

    return application


PROBES: dict[str, Application] = {"/health": _endpoint(_health, "OK"), "/ready": _endpoint(_ready, "READY")}
"""The endpoints by path."""
