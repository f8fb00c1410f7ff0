"""Channels as its documentation has it: a group for each topic, one `group_send` an event, its own memory layer."""

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="for this run",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    DATABASES={},
    LOGGING_CONFIG=None,
    # The default capacity of 100 messages drops what is over it.
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 100_000}}},
)
django.setup()

from urllib.parse import parse_qs  # noqa: E402

from channels.generic.http import AsyncHttpConsumer  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402


def topic_of(scope: dict) -> str:
    return parse_qs(scope["query_string"].decode())["topic"][0]


class Subscribe(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        self.topic = topic_of(self.scope)
        await self.channel_layer.group_add(self.topic, self.channel_name)
        await self.send_headers(headers=[(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")])
        await self.send_body(b"event: open\ndata: \n\n", more_body=True)

    async def http_request(self, message: dict) -> None:
        # The generic consumer ends the response when `handle` returns.
        await self.handle(message.get("body", b""))

    async def event(self, message: dict) -> None:
        await self.send_body(f"data: {message['data']}\n\n".encode(), more_body=True)

    async def disconnect(self) -> None:
        await self.channel_layer.group_discard(self.topic, self.channel_name)


class SubscribeWebSocket(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.topic = topic_of(self.scope)
        await self.channel_layer.group_add(self.topic, self.channel_name)
        await self.accept()

    async def event(self, message: dict) -> None:
        await self.send(text_data=message["data"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.topic, self.channel_name)


class Publish(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        topic = dict(self.scope["headers"])[b"x-sse-topic"].decode()
        await get_channel_layer().group_send(topic, {"type": "event", "data": body.decode()})
        await self.send_response(200, b"ok")


class Health(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, b"ok")


application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("sse", Subscribe.as_asgi()),
                path("publish", Publish.as_asgi()),
                path("health", Health.as_asgi()),
            ]
        ),
        "websocket": URLRouter([path("ws", SubscribeWebSocket.as_asgi())]),
    }
)
