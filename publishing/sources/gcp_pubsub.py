"""`gcp-pubsub`: a subscription of Google Cloud Pub/Sub, by streaming pull. At least once: acknowledged once routed."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError, ServiceUnavailable
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import SubscriberAsyncClient, types
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn, Unreachable
from publishing.sources.formats import NotAnEvent, optional_id, text_of
from publishing.sources.names import BROADCAST, channel_topic
from topics.conf import GatewaySettings

CONNECT_SECONDS = 10.0

SETTLE_SECONDS = 1.0
"""How long a stream must stand without a refusal before messages are believed to come."""

DEADLINE_SECONDS = 10
"""After which Pub/Sub gives a message that was neither acknowledged nor asked for longer to somebody else."""

EXTEND_SECONDS = 4.0

ASK_SECONDS = 5.0
"""How often Pub/Sub is asked whether it is there; after as long without an answer, it is not."""

LARGEST_MESSAGE_BYTES = 10_000_000
"""Pub/Sub's own limit. One that is too large for the gateway must arrive all the same, or it would come for ever."""

Incoming = Any
"""`google.pubsub_v1.types.ReceivedMessage`; the package carries no types."""


class GcpPubSub:
    """One subscription, `PUBSUB_SUBSCRIPTION` of `GCP_PROJECT`.

    The streaming pull is Google's asynchronous client's. The other one runs a dozen threads, and those of a server that
    is away cannot be ended.

    Args:
        settings: The gateway's.
    """

    name = "gcp-pubsub"
    guarantee: Guarantee = "at-least-once"
    # Pub/Sub shares messages out among all who pull; those of one ordering key go to one of them, in their order.
    runs_on: RunsOn = "every-node"

    def __init__(self, settings: GatewaySettings) -> None:
        self._project = os.environ.get("GCP_PROJECT", "")
        self._subscription = os.environ.get("PUBSUB_SUBSCRIPTION", "")
        # What is taken and not routed yet is bounded as what waits for a slow reader is.
        self._most_messages = settings.outbox_events
        self._most_bytes = max(settings.outbox_bytes, LARGEST_MESSAGE_BYTES)

    def validate(self) -> None:
        """See `Source`."""
        for name, value in (("GCP_PROJECT", self._project), ("PUBSUB_SUBSCRIPTION", self._subscription)):
            if not value:
                raise Misconfigured(f"The source gcp-pubsub needs to know what to pull; set {name}.")

    async def run(self, publish: Publish) -> None:
        """See `Source`."""
        try:
            transport = await _transport()
            async with SubscriberAsyncClient(transport=transport) as client:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await transport.grpc_channel.channel_ready()
                await self._pull(client, publish)
        except (GoogleAPICallError, GoogleAuthError, grpc.RpcError, OSError) as error:
            raise Unreachable(f"Google Pub/Sub: {_describe(error)}") from error

    async def close(self) -> None:
        """See `Source`."""

    async def _pull(self, client: Any, publish: Publish) -> None:
        subscription = client.subscription_path(self._project, self._subscription)
        asked: asyncio.Queue[Any] = asyncio.Queue()
        asked.put_nowait(
            types.StreamingPullRequest(
                subscription=subscription,
                stream_ack_deadline_seconds=DEADLINE_SECONDS,
                max_outstanding_messages=self._most_messages,
                max_outstanding_bytes=self._most_bytes,
            )
        )
        held: dict[str, None] = {}
        ended = asyncio.Event()
        helpers = [
            asyncio.create_task(_settle(publish)),
            asyncio.create_task(_extend(asked, held)),
        ]
        stream: Any = None
        try:
            # The client's own retries would hide for a quarter of an hour that nobody is there.
            stream = await client.streaming_pull(requests=_requests(asked, ended), retry=None)
            # A stream whose other end has gone without a word looks as one on which nothing comes.
            helpers.append(asyncio.create_task(_ask(client, subscription)))
            helpers.append(asyncio.create_task(self._take(stream, held, asked, publish)))
            over, _ = await asyncio.wait(helpers[-2:], return_when=asyncio.FIRST_COMPLETED)
            for helper in over:
                # A stream that was cancelled by nobody here has ended as well.
                if not helper.cancelled():
                    helper.result()
        finally:
            for helper in helpers:
                helper.cancel()
            done = _acknowledged(asked)
            # It ends what it writes with only when it is told so: now, since any wait from here on may be broken off.
            asked.put_nowait(None)
            if stream is not None:
                stream.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await _give_back(client, subscription, done, held)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await ended.wait()
        raise Unreachable("Google Pub/Sub: the stream ended.")

    async def _take(self, stream: Any, held: dict[str, None], asked: "asyncio.Queue[Any]", publish: Publish) -> None:
        async for answer in stream:
            held.update(dict.fromkeys(message.ack_id for message in answer.received_messages))
            for message in answer.received_messages:
                await self._publish(message.message, publish)
                del held[message.ack_id]
                asked.put_nowait(types.StreamingPullRequest(ack_ids=[message.ack_id]))

    async def _publish(self, message: Incoming, publish: Publish) -> None:
        try:
            attributes = message.attributes
            channel = attributes.get("channel_id")
            if channel == "":
                raise NotAnEvent("channel_id is empty.")
            await publish(
                [BROADCAST if channel is None else channel_topic(channel)],
                text_of(message.data),
                id=optional_id(attributes.get("id")) or message.message_id,
                event=attributes.get("event_type") or None,
            )
        except NotAnEvent as error:
            publish.dead(str(error), id=message.message_id)


async def _transport() -> Any:
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        # As Google's client sets it for the real one.
        unlimited = [("grpc.max_receive_message_length", -1)]
        return SubscriberGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(emulator, options=unlimited))
    # Looking for credentials may ask the network.
    return await asyncio.to_thread(SubscriberGrpcAsyncIOTransport)


async def _requests(asked: "asyncio.Queue[Any]", ended: asyncio.Event) -> AsyncIterator[Any]:
    try:
        while (request := await asked.get()) is not None:
            yield request
    finally:
        ended.set()


async def _settle(publish: Publish) -> None:
    # A stream stands before the subscription is found, or refused.
    await asyncio.sleep(SETTLE_SECONDS)
    publish.connected()


async def _extend(asked: "asyncio.Queue[Any]", held: dict[str, None]) -> None:
    """Ask for more time for messages that wait, as they do while the placement store is away."""
    while True:
        await asyncio.sleep(EXTEND_SECONDS)
        if held:
            ids = list(held)
            request = types.StreamingPullRequest(
                modify_deadline_ack_ids=ids, modify_deadline_seconds=[DEADLINE_SECONDS] * len(ids)
            )
            asked.put_nowait(request)


async def _ask(client: Any, subscription: str) -> None:
    """Return, by raising, when nobody answers any more."""
    while True:
        await asyncio.sleep(ASK_SECONDS)
        try:
            # It concerns no message; that it is refused is an answer, too.
            await client.modify_ack_deadline(
                subscription=subscription, ack_ids=[], ack_deadline_seconds=0, retry=None, timeout=ASK_SECONDS
            )
        except (DeadlineExceeded, ServiceUnavailable):
            raise Unreachable("Google Pub/Sub: it does not answer.") from None
        except GoogleAPICallError:
            continue


def _acknowledged(asked: "asyncio.Queue[Any]") -> list[str]:
    requests = [asked.get_nowait() for _ in range(asked.qsize())]
    return [ack_id for request in requests for ack_id in request.ack_ids]


async def _give_back(client: Any, subscription: str, done: list[str], held: dict[str, None]) -> None:
    """Acknowledge what the stream did not get round to, and let others have the rest at once."""
    with contextlib.suppress(GoogleAPICallError, grpc.RpcError, OSError):
        async with asyncio.timeout(1):
            if done:
                await client.acknowledge(subscription=subscription, ack_ids=done, retry=None)
            if held:
                await client.modify_ack_deadline(
                    subscription=subscription, ack_ids=list(held), ack_deadline_seconds=0, retry=None
                )


def _describe(error: BaseException) -> str:
    if isinstance(error, GoogleAPICallError):
        return f"{error.code}: {error.message}"[:200]
    if isinstance(error, TimeoutError):
        return "it cannot be reached."
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
