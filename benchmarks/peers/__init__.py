"""The servers that are measured, by name."""

from benchmarks.peers.base import Peer
from benchmarks.peers.gateway import Floor, Gateway
from benchmarks.peers.programs import Centrifugo, Mercure, Nchan, Pushpin
from benchmarks.peers.python_apps import PythonApp
from benchmarks.peers.worker import Worker

ALL: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Floor(),
        Nchan(),
        Gateway("daphne"),
        Gateway("uvicorn"),
        Worker(),
        Mercure(),
        Centrifugo(),
        Pushpin(),
        PythonApp(
            "sse-starlette",
            "sse-starlette",
            "sse_starlette_app",
            "uvicorn",
            ("sse-starlette", "starlette"),
            dropped_status=204,
        ),
        PythonApp(
            "django-eventstream",
            "django-eventstream",
            "eventstream_app",
            "daphne",
            ("django-eventstream", "django"),
            topic_parameter="channel",
        ),
        PythonApp("channels", "plain Channels", "channels_app", "daphne", ("channels", "django"), websocket=True),
    )
}

GATEWAYS = ("gateway-daphne", "gateway-uvicorn")
REFERENCES = ("floor", "nchan")
