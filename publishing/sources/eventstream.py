"""`eventstream`: what Django applications send with `django_eventstream.send_event`, through its Redis channel."""

import json

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn
from publishing.sources.formats import NotAnEvent, data_of, optional_id, text_of
from publishing.sources.names import escape
from publishing.sources.redis_subscription import listen
from topics.conf import GatewaySettings

CHANNEL = "events_channel"
"""Where django-eventstream sends each event when it has `EVENTSTREAM_REDIS`."""


class EventStream:
    """django-eventstream's Redis.

    Args:
        settings: The gateway's.
    """

    name = "eventstream"
    guarantee: Guarantee = "at-most-once"
    # Every subscriber gets every message.
    runs_on: RunsOn = "one-node"

    def __init__(self, settings: GatewaySettings) -> None:
        self._url = settings.eventstream_url or settings.redis_url or ""

    def validate(self) -> None:
        """See `Source`."""
        if not self._url:
            raise Misconfigured(
                "The source eventstream needs the Redis of EVENTSTREAM_REDIS; set GATEWAY_EVENTSTREAM_URL."
            )

    async def run(self, publish: Publish) -> None:
        """See `Source`."""

        async def handle(kind: str, channel: bytes, payload: bytes) -> None:
            try:
                message = json.loads(text_of(payload))
                name, event, data, event_id = (message[key] for key in ("channel", "event_type", "data", "pub_id"))
            except (ValueError, KeyError, TypeError, RecursionError):
                raise NotAnEvent("It is not what django-eventstream sends.") from None
            if not isinstance(name, str) or not isinstance(event, str):
                raise NotAnEvent("channel and event_type must be text.")
            await publish([escape(name)], data_of(data), id=optional_id(event_id), event=event)

        await listen(self._url, publish, handle, channels=[CHANNEL])

    async def close(self) -> None:
        """See `Source`."""
