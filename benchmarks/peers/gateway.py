"""This gateway, as containers run it, with its default settings."""

import contextlib
import importlib.metadata
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine
from benchmarks.peers.base import Endpoint, Peer, Started, get, post, upgrade
from benchmarks.server import family, free_port, running, scratch


class Gateway(Peer):
    """`manage.py serve`.

    Args:
        server: `daphne` or `uvicorn`.
    """

    def __init__(self, server: str) -> None:
        super().__init__()
        self.server = server
        self.name = f"gateway-{server}"
        self.title = f"this gateway, {server.capitalize() if server == 'daphne' else server}"
        self.root = machine.ROOT
        """Whose code it runs."""

    def missing(self) -> str | None:
        """Return None: it is here."""
        return None

    def version(self) -> str:
        """Return the commit and the server's version."""
        return f"{machine.commit()}, {self.server} {importlib.metadata.version(self.server)}"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it; `GATEWAY_LOG_LEVEL` is the one setting that is not as by default."""
        key = secrets.token_urlsafe(24)
        with scratch() as folder, serving(self.server, key, folder, self.root) as (address, pid):
            yield endpoint([address], [pid], key)


@contextlib.contextmanager
def serving(server: str, key: str, folder: Path, root: Path, **settings: str) -> Iterator[tuple[str, int]]:
    """Run one process of the gateway, and give its address and process id.

    Args:
        server: `daphne` or `uvicorn`.
        key: Its API key.
        folder: For its output.
        root: Where its code is.
        settings: `GATEWAY_` variables, by the rest of their names.
    """
    port = free_port()
    command = [sys.executable, str(root / "manage.py"), "serve", "--bind", "127.0.0.1"]
    command += ["--port", str(port), "--server", server]
    environment = {"API_KEYS": key, "LOG_LEVEL": "warning", "LOG_FORMAT": "json", **settings}
    variables = {f"GATEWAY_{name}": value for name, value in environment.items()}
    with running(command, folder=folder, port=port, environment=variables, cwd=root) as pid:
        yield f"127.0.0.1:{port}", pid


def endpoint(addresses: list[str], pids: list[int], key: str) -> Endpoint:
    """Describe a gateway to the generator: subscribers go to all nodes in turn, publishes to the first."""
    return Endpoint(
        address=addresses[0],
        pids=[each for pid in pids for each in family(pid)],
        subscribe=get("/sse?topic={topic}"),
        websocket=upgrade("/ws?topic={topic}"),
        publish=post(
            "/publish",
            ("authorization", f"Bearer {key}"),
            ("x-sse-topic", "{topic}"),
            ("x-sse-id", "{id}"),
            ("content-type", "text/plain"),
        ),
        more={
            "more_addresses": addresses[1:],
            "open_after": "gateway.open",
            "websocket_open_after": '"type":"open"',
            "publish_status": [200],
            "dropped_status": [204],
            "probe_target": "/health",
        },
    )


class Floor(Peer):
    """The machine's limit: C, epoll, one `send()` a delivery."""

    name = "floor"
    title = "floor (C, one send each)"
    leaves_out = {"websocket-1000": "the floor has no WebSocket"}  # noqa: RUF012 - read only

    def missing(self) -> str | None:
        """Return None: it is built from this repository."""
        return None

    def version(self) -> str:
        """Return what it was built with."""
        return f"benchmarks/floor/floor.c, {machine.output_of(['cc', '--version'])}"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it."""
        port = free_port()
        program: Path = machine.BENCH / "bin" / "floor"
        with scratch() as folder, running([str(program), str(port)], folder=folder, port=port) as pid:
            yield Endpoint(
                address=f"127.0.0.1:{port}",
                pids=family(pid),
                subscribe=get("/sse?topic={topic}"),
                publish=post("/publish", ("x-sse-topic", "{topic}"), ("x-sse-id", "{id}")),
                more={"publish_status": [200], "dropped_status": [204], "probe_target": "/health"},
            )
