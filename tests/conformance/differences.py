"""What a target is allowed to do otherwise than the suite says, each with its reason.

Every one is in docs/reference/cloudflare.md. A listed test that passes fails the run: the list stays true. Only what is
a race in the platform may go either way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NO_URL = "workerd answers 500 to a target or host that makes no URL, before it asks the Worker"
_BARE = "workerd takes a target without its slash for the bare address, which leads a browser to the dashboard"
_METHOD = "workerd answers 501 to a method that it does not know, before it asks the Worker"
_HALF_CLOSED = "workerd does not take a half-closed connection for an ended one: only a write finds out"
_IDLE = "nothing tells the Worker that the client of a silent stream has gone: its keep-alive finds out"
_CLOSED = (
    "workerd leaves the TCP connection to the client when the gateway has closed a WebSocket on which the client never "
    "sent anything; the close frame is sent"
)
_ONE_ORDER = (
    "topics are objects without a common order: a client of several topics that comes back may get twice what came in "
    "the last seconds"
)
_UNREAD = "workerd resets the connection of a client that goes on sending a large body which was answered unread"
_RESET = (
    "workerd tells nobody of a WebSocket whose client reset the connection before the handshake was answered: it stays "
    "until an administrator closes it or the platform ends the object's connections"
)
_PINGS = "the platform lets no object send a protocol ping; the edge finds dead peers"
_FRAMES = "workerd judges WebSocket frames by itself, and is kinder"

WORKER: Mapping[str, str] = {
    "test_hostile_input.py::test_a_strange_target_is_never_a_5xx[*]": _NO_URL,
    "test_hostile_input.py::test_a_strange_target_is_never_a_5xx[sse]": _BARE,
    "test_hostile_input.py::test_a_strange_host_is_never_a_5xx[b'a b']": _NO_URL,
    "test_hostile_input.py::test_a_strange_host_is_never_a_5xx[b'evil.example:99999999']": _NO_URL,
    "test_hostile_input.py::test_a_strange_host_is_never_a_5xx[b'[::1']": _NO_URL,
    "test_hostile_input.py::test_a_strange_method_is_a_4xx[TRACE-*]": _NO_URL,
    **{
        f"test_hostile_input.py::test_a_strange_method_is_a_4xx[{method}-{path}]": _METHOD
        for method in ("CONNECT", "PRI", "method3")
        for path in ("/publish", "/sse", "/ws", "/health", "/api/v1/topics", "/nothing", "*")
    },
    "test_admin_api.py::test_a_topic_is_unlisted_with_its_last_connection": _IDLE,
    "test_admin_api.py::test_a_websocket_can_be_closed": _CLOSED,
    "test_delivery.py::test_clients_that_leave_while_they_come_leave_nothing[websocket]": _RESET,
    "test_history.py::test_one_id_resumes_all_topics_in_one_order": _ONE_ORDER,
    "test_history.py::test_nothing_is_lost_or_repeated_however_often_a_client_comes_back": _ONE_ORDER,
    "test_delivery.py::test_the_topic_is_gone_as_soon_as_its_last_connection[half_close_stream]": _HALF_CLOSED,
    "test_delivery.py::test_a_client_that_half_closes_with_its_request_is_gone": _HALF_CLOSED,
    "test_subscribe_sse.py::test_the_connection_ends_with_the_client": _HALF_CLOSED,
    "test_subscribe_websocket.py::test_a_violation_of_the_protocol_ends_the_connection[unmasked]": _FRAMES,
    "test_subscribe_websocket.py::test_a_violation_of_the_protocol_ends_the_connection[long ping]": _FRAMES,
    "test_subscribe_websocket.py::test_a_violation_of_the_protocol_ends_the_connection[not UTF-8]": _FRAMES,
    "test_subscribe_websocket.py::test_a_wrong_handshake_is_refused[key]": "workerd takes any sec-websocket-key",
    "test_patience.py::test_silence_on_a_websocket_is_filled_with_pings_and_an_answer_keeps_it": _PINGS,
    "test_patience.py::test_a_websocket_that_answers_no_ping_is_closed": _PINGS,
}

WORKER_RACES: Mapping[str, str] = {
    "test_publish_unread_body.py::test_a_body_where_none_is_wanted_does_not_bring_the_connection_out_of_step": _UNREAD,
    "test_publish_unread_body.py::test_clients_that_send_the_whole_body_first_see_the_answer": _UNREAD,
    "test_publish_unread_body.py::test_a_generated_body_sees_the_answer": _UNREAD,
}

TARGETS: Mapping[str, Mapping[str, str]] = {"worker": WORKER}
"""Target to test (``file::function``, or with its parameter in brackets) to reason: these fail."""

RACES: Mapping[str, Mapping[str, str]] = {"worker": WORKER_RACES}
"""The same of those that may pass or fail."""


def reason_for(target: str | None, node_id: str) -> str | None:
    """Why *target* fails the test, or None when it does not."""
    return _found(TARGETS, target, node_id)


def race_in(target: str | None, node_id: str) -> str | None:
    """Why the test may pass or fail on *target*, or None when it may not."""
    return _found(RACES, target, node_id)


def _found(lists: Mapping[str, Mapping[str, str]], target: str | None, node_id: str) -> str | None:
    listed = lists[target] if target else {}
    name = re.sub(r"^[^:]*/", "", node_id)
    return listed.get(name, listed.get(name.partition("[")[0]))
