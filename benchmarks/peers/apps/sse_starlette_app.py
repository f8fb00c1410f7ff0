"""sse-starlette on uvicorn, with the queue for each client that its documentation shows."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

queues: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def subscribe(request: Request) -> Response:
    topic = request.query_params["topic"]
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues[topic].add(queue)

    async def events() -> AsyncIterator[ServerSentEvent]:
        try:
            while True:
                yield ServerSentEvent(await queue.get())
        finally:
            queues[topic].discard(queue)

    return EventSourceResponse(events())


async def publish(request: Request) -> Response:
    members = queues.get(request.headers["x-sse-topic"])
    if not members:
        return Response(status_code=204)
    data = (await request.body()).decode()
    for queue in members:
        queue.put_nowait(data)
    return JSONResponse({"subscribers": len(members)})


async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


application = Starlette(
    routes=[
        Route("/sse", subscribe),
        Route("/publish", publish, methods=["POST"]),
        Route("/health", health),
    ]
)
