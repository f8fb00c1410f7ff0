"""Publishing one event."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway_project.client.address import Gateway
from gateway_project.client.backoff import Backoff
from gateway_project.client.exceptions import Refused, Unanswered, Unavailable
from gateway_project.client.http_client import http_client
from gateway_project.client.problems import failure, no_connection
from gateway_project.client.terminal import MOST_NAMES, dropped_because, plural, printable

_GRACE = 0.5
"""Seconds past the deadline: httpx's own time-outs, which know what was waited for, come first."""


class Delivered(BaseModel):
    """The event was handed to every node that holds a connection for it."""

    model_config = ConfigDict(frozen=True, extra="allow")
    id: str
    subscribers: int
    topics: dict[str, int] = {}


@dataclass(frozen=True)
class Dropped:
    """None of the topics exists: nobody got the event, and nobody will."""

    id: str
    reason: str


@dataclass(frozen=True)
class Publication:
    """What `POST /publish` is told. All but the data are header values.

    Args:
        topics: a topic list.
        id: the event's id.
        data: UTF-8 text.
        event: the event type; None for a message.
        retry: the reconnection time for subscribers, in milliseconds.
    """

    topics: str
    id: str
    data: bytes
    event: str | None = None
    retry: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, but for the key."""
        headers = {
            "x-sse-topic": self.topics,
            "x-sse-id": self.id,
            "content-type": "text/plain; charset=utf-8",
        }
        if self.event is not None:
            headers["x-sse-event"] = self.event
        if self.retry is not None:
            headers["x-sse-retry"] = str(self.retry)
        return headers


async def publish(
    gateway: Gateway,
    publication: Publication,
    *,
    patience: float,
    backoff: Backoff,
    tell: Callable[[str], None],
) -> Delivered | Dropped:
    """Publish, and try again while the gateway cannot be reached or says that it cannot do it now.

    A request whose answer is lost is not repeated: subscribers would get the event twice.

    Args:
        gateway: where to.
        publication: what.
        patience: seconds for all attempts together.
        backoff: the waits between them.
        tell: hears why an attempt failed and when the next one comes.

    Raises:
        Refused: the gateway does not take this event.
        Unavailable: it could not be reached, or could not do it, in that time. Nothing was published.
        Unanswered: the answer was lost. It may have been published.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return await _attempt(gateway, publication, deadline - loop.time())
        except Unavailable as error:
            what = str(error).rstrip(".")
            delay = backoff.delay(at_least=error.retry_after)
            if loop.time() + delay >= deadline:
                raise Unavailable(f"{what}. Gave up after {patience:g} s; nothing was published") from error
            tell(f"{what}. Trying again in {delay:.1f} s.")
            await asyncio.sleep(delay)


async def _attempt(gateway: Gateway, publication: Publication, seconds: float) -> Delivered | Dropped:
    try:
        async with asyncio.timeout(seconds + _GRACE), http_client(gateway, seconds) as client:
            response = await client.post(
                gateway.http("/publish"),
                content=publication.data,
                headers={**gateway.authorization, **publication.headers},
            )
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise no_connection(gateway.url, error) from error
    except (httpx.TransportError, TimeoutError) as error:
        raise Unanswered(_unknown("No answer came")) from error
    match response.status_code:
        case 200:
            try:
                return Delivered.model_validate_json(response.content)
            except ValidationError as error:
                raise _no_gateway(gateway) from error
        case 204 if "x-sse-dropped" in response.headers:
            return Dropped(publication.id, response.headers["x-sse-dropped"])
        case status if 200 <= status < 300:
            raise _no_gateway(gateway)
        case 502 | 504 as status:
            raise Unanswered(_unknown(f"A proxy answered {status} in the gateway's place"))
        case status:
            raise failure(status, response.headers, response.content)


def _no_gateway(gateway: Gateway) -> Refused:
    return Refused(
        "The answer is not a gateway's",
        f"Is {gateway.url} the gateway's address? Check --url or GATEWAY_URL.",
    )


def _unknown(what: str) -> str:
    return (
        f"{what}: the event may have been published or not. "
        "Publishing it again with the same --id is safe for subscribers that skip ids they have seen."
    )


def outcome_text(outcome: Delivered | Dropped) -> str:
    """What happened, as a sentence."""
    if isinstance(outcome, Dropped):
        return f"Dropped: {dropped_because(outcome.reason)}. Id {printable(outcome.id)}."
    parts = [f"{printable(topic)}: {count}" for topic, count in outcome.topics.items()]
    by_topic = f" ({', '.join(parts)})" if 1 < len(parts) <= MOST_NAMES else ""
    return f"Delivered to {plural(outcome.subscribers, 'subscriber')}{by_topic}. Id {printable(outcome.id)}."


def outcome_object(outcome: Delivered | Dropped) -> dict[str, object]:
    """What happened, as the batch publish of the gateway says it."""
    if isinstance(outcome, Dropped):
        return {"status": 204, "id": outcome.id, "dropped": outcome.reason}
    return {"status": 200, **outcome.model_dump(mode="json")}
