"""The ASGI application: streams and publishing by themselves, all else through Django."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")

from typing import cast

import django
from django.conf import settings

if settings.GATEWAY_PROBLEMS:
    # A server must not start on settings that nobody meant; a traceback would hide the sentence.
    raise SystemExit("\n".join(problem.message for problem in settings.GATEWAY_PROBLEMS))

django.setup(set_prefix=False)

from dashboard.tail import TailConsumer
from gateway_project.front import Front
from gateway_project.handler import Handler
from gateway_project.health import PROBES
from gateway_project.lifecycle import shut_down
from gateway_project.older.api import OlderApi
from gateway_project.older.streams import ChannelStream, TutorialStream, UserStream, by_user
from publishing.endpoint import PUBLISH_HEADERS, PublishEndpoint
from publishing.keys import Keys
from topics.asgi import Application, Receive, Scope, Send
from topics.conf import GatewaySettings
from topics.consumers.sse import ALLOW, REQUEST_HEADERS, SseConsumer
from topics.consumers.websocket import WebSocketConsumer
from topics.cors import Cors
from topics.problems import Problem, method_not_allowed
from topics.responses import deny, refuse, respond

_gateway: GatewaySettings = settings.GATEWAY
_keys = Keys(_gateway.api_keys)
_admin_cors = Cors(
    _gateway.admin_cors_origins,
    methods="GET, POST, DELETE, OPTIONS",
    headers=PUBLISH_HEADERS,
    expose="x-sse-dropped, retry-after",
)
_subscriber_cors = Cors(_gateway.cors_origins, methods=ALLOW, headers=REQUEST_HEADERS)


async def _ws_over_http(scope: Scope, receive: Receive, send: Send) -> None:
    allow = "GET, OPTIONS"
    if scope["method"] == "OPTIONS":
        await respond(send, 204, [(b"allow", allow.encode())])
        return
    if scope["method"] != "GET":
        await refuse(send, method_not_allowed(scope["method"], allow))
        return
    headers = (("upgrade", "websocket"), ("connection", "upgrade"))
    await refuse(send, Problem(426, "upgrade-required", "This is a WebSocket; connect with ws: or wss:.", headers))


_HTTP: dict[str, Application] = {
    "/publish": PublishEndpoint(
        keys=_keys,
        cors=_admin_cors,
        max_topics=_gateway.max_topics,
        max_event_bytes=_gateway.max_event_bytes,
        body_seconds=_gateway.body_timeout_seconds,
        broadcast=_gateway.broadcast,
    ),
    "/sse": by_user(
        SseConsumer.as_asgi(cors=_subscriber_cors),
        UserStream.as_asgi(cors=_subscriber_cors, default=_gateway.default_user_id or ""),
        default=_gateway.default_user_id or "",
    ),
    "/sse/connect": ChannelStream.as_asgi(cors=_subscriber_cors),
    "/api/events": TutorialStream.as_asgi(cors=_subscriber_cors),
    **OlderApi(
        keys=_keys,
        open_to_all=_gateway.older_api_open,
        cors=_admin_cors,
        max_body_bytes=_gateway.max_body_bytes,
        body_seconds=_gateway.body_timeout_seconds,
    ).endpoints(),
    "/ws": _ws_over_http,
    "/api/v1/tail": TailConsumer.as_asgi(keys=_keys, cors=_admin_cors),
    **PROBES,
}
_WEBSOCKET = {"/ws": WebSocketConsumer.as_asgi(cors=_subscriber_cors)}
_front = Front(
    cast(Application, Handler()),
    keys=_keys,
    cors=_admin_cors,
    max_body_bytes=_gateway.max_body_bytes,
    body_seconds=_gateway.body_timeout_seconds,
)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a connection to what its path names."""
    if scope["type"] == "http":
        await _HTTP.get(scope["path"], _front)(scope, receive, send)
    elif scope["type"] == "websocket":
        handler = _WEBSOCKET.get(scope["path"])
        if handler is None:
            await _no_websocket_here(scope, receive, send)
        else:
            await handler(scope, receive, send)
    else:
        # ASGI's lifespan: a server takes this for "not supported" and goes on.
        raise NotImplementedError(f"The gateway does not speak {scope['type']}.")


async def _no_websocket_here(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    problem = Problem(404, "not-found", "There is no WebSocket here; connect to /ws.")
    await deny(scope, send, problem)


if "daphne.server" in sys.modules:
    # Plain `daphne gateway_project.asgi:application` loads this before it listens: in time to be extended.
    from gateway_project.servers.daphne import install

    install(
        header_timeout=_gateway.header_timeout_seconds,
        heartbeat=_gateway.heartbeat_seconds,
        drain=shut_down,
    )
