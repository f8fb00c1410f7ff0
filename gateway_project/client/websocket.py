"""One WebSocket, as messages."""

import ssl
from collections.abc import AsyncGenerator

from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)

from gateway_project.client.address import USER_AGENT, Gateway
from gateway_project.client.exceptions import Refused, Unavailable, UsageError
from gateway_project.client.http_client import CONNECT_SECONDS
from gateway_project.client.messages import Message, from_websocket
from gateway_project.client.problems import failure, no_connection

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Of one frame. An event of a gateway with default limits needs 6 MiB when all of it must be escaped."""

CLOSE_SECONDS = 2.0


async def subscription(
    gateway: Gateway, topics: str, last_event_id: str | None, *, silence: float
) -> AsyncGenerator[Message, None]:
    """What arrives on `GET /ws` for a topic list, until the socket closes.

    Arguments and exceptions are those of `sse.subscription`. Silence is found by protocol pings: the
    gateway's own are answered below this level and cannot be seen here.
    """
    headers = {"x-sse-topic": topics}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    try:
        async with connect(
            gateway.websocket("/ws"),
            additional_headers=headers,
            user_agent_header=USER_AGENT,
            compression=None,
            proxy=None if gateway.is_local else True,
            open_timeout=min(CONNECT_SECONDS, silence),
            ping_interval=silence / 2,
            ping_timeout=silence / 2,
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_MESSAGE_BYTES,
        ) as socket:
            while True:
                frame = await socket.recv()
                if isinstance(frame, str) and (message := from_websocket(frame)):
                    yield message
    except ConnectionClosed as error:
        raise Unavailable(_why_closed(error)) from error
    except InvalidStatus as error:
        answer = error.response
        headers_found = {name.lower(): value for name, value in answer.headers.raw_items()}
        raise failure(answer.status_code, headers_found, bytes(answer.body or b""), server_errors_pass=True) from error
    except (OSError, ProxyError) as error:
        raise no_connection(gateway.url, error) from error
    except InvalidHandshake as error:
        if isinstance(error.__cause__, (EOFError, OSError, ssl.SSLError)):
            raise no_connection(gateway.url, error.__cause__) from error
        raise Refused(
            "The answer is not a WebSocket",
            f"Is {gateway.url} the gateway's address? Check --url or GATEWAY_URL.",
        ) from error
    except ImportError as error:
        raise UsageError(f"The proxy that the environment names cannot be used: {error}") from error
    except WebSocketException as error:
        raise Unavailable(f"The WebSocket failed ({error})") from error


def _why_closed(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "The connection broke" if error.sent is None else f"The connection broke ({error.sent.reason})"
    return f"The gateway closed the WebSocket ({error.rcvd.code} {error.rcvd.reason})".replace(" )", ")")
