"""What the harness knows of a server that it measures."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Request = dict[str, Any]
"""A template as the generator takes it: method, target, headers, body."""


@dataclass(slots=True)
class Endpoint:
    """A server that runs.

    Attributes:
        address: Where subscribers connect.
        pids: The processes whose processor time and memory count.
        subscribe: How to subscribe over SSE.
        publish: How to publish.
        websocket: How to subscribe over WebSocket; None when it is not measured.
        more: Further settings for the generator.
    """

    address: str
    pids: list[int]
    subscribe: Request
    publish: Request
    websocket: Request | None = None
    more: dict[str, Any] = field(default_factory=dict)


class Peer(ABC):
    """A server beside which the others stand.

    Attributes:
        name: In results and on the command line.
        title: In tables.
        leaves_out: Rows that it has no way to run, and why.
    """

    name: str
    title: str
    leaves_out: dict[str, str]

    def __init__(self) -> None:
        self.leaves_out = getattr(self, "leaves_out", {})

    @abstractmethod
    def missing(self) -> str | None:
        """Return why it cannot run here, or None."""

    @abstractmethod
    def version(self) -> str:
        """Return what runs, with its version."""

    @abstractmethod
    def start(self) -> contextlib.AbstractContextManager[Endpoint]:
        """Run it on free ports until the block ends.

        Raises:
            ServerFailed: It did not start.
        """


def get(target: str, *headers: tuple[str, str]) -> Request:
    """Make the template of a GET."""
    return {"method": "GET", "target": target, "headers": [list(header) for header in headers], "body": ""}


def post(target: str, *headers: tuple[str, str], body: str = "{data}") -> Request:
    """Make the template of a POST."""
    return {"method": "POST", "target": target, "headers": [list(header) for header in headers], "body": body}


def upgrade(target: str) -> Request:
    """Make the template of a WebSocket handshake (RFC 6455 §4.1)."""
    return get(
        target,
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )


Started = Iterator[Endpoint]
