"""One SSE response, as messages."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
from httpx_sse import EventSource, SSEError

from gateway_project.client.address import Gateway
from gateway_project.client.exceptions import Refused, Unavailable
from gateway_project.client.http_client import http_client
from gateway_project.client.messages import Message, ReconnectionTime, from_sse
from gateway_project.client.problems import broken_connection, failure, no_connection

LARGEST_PROBLEM = 64 * 1024
"""Bytes of a refusal that are read."""


async def subscription(
    gateway: Gateway, topics: str, last_event_id: str | None, *, silence: float
) -> AsyncGenerator[Message, None]:
    """What arrives on `GET /sse` for a topic list, until the stream ends.

    Args:
        gateway: whom to subscribe at. Its key is not sent: subscribing needs none.
        topics: a topic list.
        last_event_id: the last event seen, sent as `last-event-id`.
        silence: seconds without a byte after which the connection is given up.

    Raises:
        Refused: the gateway will not give this subscription.
        Unavailable: the connection was not made, broke, ended or fell silent.
    """
    headers = {"x-sse-topic": topics}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    async with aclosing(_messages(gateway, "/sse", {"format": "json"}, headers, silence)) as messages:
        async for message in messages:
            yield message


async def tail(gateway: Gateway, topic: str, *, silence: float) -> AsyncGenerator[Message, None]:
    """What arrives on `GET /api/v1/tail`; arguments and exceptions are those of `subscription`."""
    headers = gateway.authorization
    async with aclosing(_messages(gateway, "/api/v1/tail", {"topic": topic}, headers, silence)) as messages:
        async for message in messages:
            yield message


async def _messages(
    gateway: Gateway, path: str, query: dict[str, str], headers: dict[str, str], silence: float
) -> AsyncGenerator[Message, None]:
    headers = {**headers, "accept": "text/event-stream", "cache-control": "no-store"}
    try:
        async with (
            http_client(gateway, silence) as client,
            client.stream("GET", gateway.http(path), params=query, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise failure(
                    response.status_code, response.headers, await _beginning(response), server_errors_pass=True
                )
            async with aclosing(EventSource(response).aiter_sse()) as blocks:
                async for block in blocks:
                    if block.retry is not None and block.retry >= 0:
                        yield ReconnectionTime(block.retry)
                    if message := from_sse(block.event, block.data):
                        yield message
    except httpx.ReadTimeout as error:
        raise Unavailable(f"Nothing came for {silence:g} s") from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise no_connection(gateway.url, error) from error
    except httpx.TransportError as error:
        raise broken_connection(gateway.url, error) from error
    except SSEError as error:
        raise Refused(
            "The answer is not an event stream",
            f"Is {gateway.url} the gateway's address? Check --url or GATEWAY_URL.",
        ) from error
    raise Unavailable("The stream ended")


async def _beginning(response: httpx.Response) -> bytes:
    """The body, which may be anybody's and endless, as far as a problem could reach."""
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > LARGEST_PROBLEM:
            break
    return body
