"""What OpenAPI says of the endpoints that answer without django-ninja: streams, raw publishing, operations."""

from typing import Any

from gateway_project.stream_events import SUBSCRIBER_EVENTS, TAIL_EVENTS, Events, references
from topics.events import MAX_RETRY_MS
from topics.problems import CONTENT_TYPE

DESCRIPTION = """Publish and subscribe over Server-Sent Events and WebSocket.

Every error is a problem (RFC 9457, `application/problem+json`): its `detail` says what is wrong and what to do.
"""

TAGS = [
    {"name": "subscribe", "description": "Streams of events."},
    {"name": "publish", "description": "Ways to publish. All need a key."},
    {"name": "admin", "description": "What exists, and who is connected where. All need a key."},
    {"name": "operations", "description": "Health and counters."},
]

_KEY: list[dict[str, list[str]]] = [{"Bearer": []}, {"ApiKey": []}]
_TEXT = {"type": "string"}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": description, "content": {CONTENT_TYPE: {"schema": schema}}}


def _parameter(
    where: str, name: str, description: str, *, required: bool = False, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "in": where,
        "name": name,
        "description": description,
        "required": required,
        "schema": schema or _TEXT,
    }


def _stream(description: str, events: Events) -> dict[str, Any]:
    content = {"schema": _TEXT, "x-events": references(events)}
    return {"description": description, "content": {"text/event-stream": content}}


def _status(description: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"status": _TEXT, "detail": _TEXT, "history": _TEXT, "sources": {"type": "object"}},
        "required": ["status"],
    }
    content = {"text/plain": {"schema": _TEXT}, "application/json": {"schema": schema}}
    return {"description": description, "content": content}


_TOPICS = [
    _parameter("query", "topic", "Topics, separated by commas; may be given more than once."),
    _parameter("header", "x-sse-topic", "Topics, separated by commas. With `topic` as well: the union."),
]
_REFUSALS = {
    "400": _problem("No topic, or a malformed one."),
    "429": _problem("This client address holds as many connections as it may."),
    "503": _problem("The node is full or shutting down, or the placement store cannot be reached."),
}

RAW_PATHS: dict[str, dict[str, Any]] = {
    "/publish": {
        "post": {
            "operationId": "publish",
            "summary": "Publish an event, its data as the body",
            "description": "Decided on the headers alone: when no topic exists, the body is not read.",
            "tags": ["publish"],
            "security": _KEY,
            "parameters": [
                _parameter("header", "x-sse-topic", "Topics, separated by commas.", required=True),
                _parameter("header", "x-sse-id", "The event's id.", required=True),
                _parameter("header", "x-sse-event", "The event type; left out, it is `message`."),
                _parameter(
                    "header",
                    "x-sse-retry",
                    "Reconnect time for the clients that get the event, in milliseconds.",
                    schema={"type": "integer", "minimum": 0, "maximum": MAX_RETRY_MS},
                ),
            ],
            "requestBody": {
                "description": "The event's data, UTF-8 text of any content type.",
                "content": {"text/plain": {"schema": _TEXT, "example": "Hello"}},
            },
            "responses": {
                "200": {
                    "description": "Handed to every node that holds a connection of the topics.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Delivered"}}},
                },
                "204": {
                    "description": "Dropped: no topic exists.",
                    "headers": {
                        "x-sse-dropped": {
                            "description": "Why the event was dropped.",
                            "schema": {"type": "string", "enum": ["no-subscribers"]},
                        }
                    },
                },
                "400": _problem("A header is missing or malformed, or the body is not UTF-8."),
                "401": _problem("The key is missing or wrong."),
                "405": _problem("The method is not POST."),
                "413": _problem("The body is over `GATEWAY_MAX_EVENT_BYTES`."),
                "503": _problem("The placement store cannot be reached."),
            },
        }
    },
    "/sse": {
        "get": {
            "operationId": "subscribeSse",
            "summary": "Subscribe by Server-Sent Events",
            "description": "The first event is `gateway.open`; every event published later for the topics arrives.",
            "tags": ["subscribe"],
            "parameters": [
                *_TOPICS,
                _parameter(
                    "query",
                    "format",
                    "`json` puts the WebSocket's event object into `data:`.",
                    schema={"type": "string", "enum": ["json"]},
                ),
            ],
            "responses": {
                "200": _stream(
                    "The events, each with its publisher's type, and the gateway's, which begin with `gateway.`.",
                    SUBSCRIBER_EVENTS,
                ),
                **_REFUSALS,
            },
        }
    },
    "/ws": {
        "get": {
            "operationId": "subscribeWebSocket",
            "summary": "Subscribe by WebSocket",
            "description": "A WebSocket handshake (RFC 6455). Messages are JSON objects with a `type`.",
            "tags": ["subscribe"],
            "parameters": [
                *_TOPICS,
                _parameter(
                    "query",
                    "format",
                    "`raw` sends the events' data alone.",
                    schema={"type": "string", "enum": ["raw"]},
                ),
            ],
            "responses": {
                "101": {"description": "The WebSocket is open."},
                **_REFUSALS,
                "403": _problem("Pages of this origin may not subscribe."),
            },
        }
    },
    "/api/v1/tail": {
        "get": {
            "operationId": "tailTopic",
            "summary": "Watch everything published to a topic",
            "description": "A tail is not a connection: it never makes a topic exist.",
            "tags": ["admin"],
            "security": _KEY,
            "parameters": [
                _parameter("query", "topic", "The topic.", required=True),
                _parameter(
                    "query",
                    "last",
                    "Begin with so many of the events that the topic keeps, the newest of them.",
                    schema={"type": "integer", "minimum": 1, "maximum": 500},
                ),
            ],
            "responses": {
                "200": _stream(
                    "`gateway.open` first, then `published` for each event, `dropped` for each dropped publish, "
                    "`gateway.gap` where events are missing, and `gateway.close` before the end.",
                    TAIL_EVENTS,
                ),
                "400": _problem("No topic, or a malformed one, or a wrong `last`."),
                "401": _problem("The key is missing or wrong."),
                "503": _problem("The node is shutting down, or the placement store cannot be reached."),
            },
        }
    },
    "/health": {
        "get": {
            "operationId": "health",
            "summary": "Is the process alive?",
            "description": "`OK`; JSON when `accept` names it.",
            "tags": ["operations"],
            "responses": {"200": _status("It answers.")},
        }
    },
    "/ready": {
        "get": {
            "operationId": "ready",
            "summary": "Can this node deliver?",
            "description": "`READY`; JSON, with the state of message sources and history, when `accept` names it.",
            "tags": ["operations"],
            "responses": {
                "200": _status("It has just passed a message through the layer to itself."),
                "503": _status("It is `draining`, or the layer is `unavailable`."),
            },
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Counters for Prometheus",
            "description": "Needs a key unless `GATEWAY_METRICS_PUBLIC` is set.",
            "tags": ["operations"],
            "security": [*_KEY, {}],
            "responses": {
                "200": {
                    "description": "Prometheus text, or OpenMetrics when asked for.",
                    "content": {"text/plain": {"schema": _TEXT}},
                },
                "401": _problem("The key is missing or wrong."),
            },
        }
    },
}
"""Path items (OpenAPI 3.1 §4.8.9) by path."""
