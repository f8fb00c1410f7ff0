"""Peers that are programs of their own: Nchan, Mercure, Centrifugo, Pushpin."""

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import shutil
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

from benchmarks import machine
from benchmarks.peers.base import Endpoint, Peer, Started, get, post, upgrade
from benchmarks.server import ServerFailed, family, free_port, running, scratch

CONFIGURATIONS = Path(__file__).resolve().parent
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


def _configure(name: str, to: Path, **values: object) -> None:
    text = (CONFIGURATIONS / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    to.write_text(text)


def _debian_version(package: str) -> str:
    return machine.output_of(["dpkg-query", "--show", "--showformat=${Version}", package])


class Nchan(Peer):
    """nginx with Nchan, one worker."""

    name = "nchan"
    title = "Nchan"

    def missing(self) -> str | None:
        """Look for nginx and the module."""
        if shutil.which("nginx") is None or not NCHAN_MODULE.exists():
            return "nginx with Nchan is not installed (Debian: libnginx-mod-nchan)"
        return None

    def version(self) -> str:
        """Return both versions."""
        return f"{machine.output_of(['nginx', '-v'])}, nchan {_debian_version('libnginx-mod-nchan')}"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it."""
        port = free_port()
        with scratch() as folder:
            _configure("nchan.conf", folder / "nginx.conf", FOLDER=folder, PORT=port, MODULE=NCHAN_MODULE)
            command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
            with running(command, folder=folder, port=port) as pid:
                # It listens before there is a worker.
                _wait_until_family(pid, 2)
                yield Endpoint(
                    address=f"127.0.0.1:{port}",
                    pids=family(pid),
                    subscribe=get("/sse?topic={topic}", ("accept", "text/event-stream")),
                    websocket=upgrade("/ws?topic={topic}"),
                    publish=post("/publish", ("x-sse-topic", "{topic}")),
                    # 201: the channel has subscribers; 202: it has none.
                    more={"publish_status": [201, 202], "dropped_status": [202], "probe_target": "/health"},
                )


class _GoProgram(Peer):
    """A peer that Go builds from its published module.

    Attributes:
        package: What to build.
    """

    package: str

    def missing(self) -> str | None:
        """Build it."""
        program = self._program()
        if program.exists():
            return None
        if shutil.which("go") is None:
            return "Go is not installed"
        command = ["go", "build", "-trimpath", "-o", str(program), self.package]
        built = subprocess.run(
            command, cwd=CONFIGURATIONS / "apps" / self.name, capture_output=True, text=True, check=False
        )
        return None if built.returncode == 0 else f"Go could not build it: {built.stderr.strip()[-300:]}"

    def version(self) -> str:
        """Return the module's version, from the file that pins it."""
        for line in (CONFIGURATIONS / "apps" / self.name / "go.mod").read_text().splitlines():
            if self.package.startswith(line.strip().partition(" ")[0].removeprefix("require ") or "-"):
                return " ".join(line.split()[:2])
            if line.startswith("require ") and self.package.startswith(line.split()[1]):
                return " ".join(line.split()[1:3])
        return self.package

    def _program(self) -> Path:
        return machine.BENCH / "bin" / self.name


class Mercure(_GoProgram):
    """Mercure's hub in its own small server, with its transport for one process."""

    name = "mercure"
    title = "Mercure"
    package = "github.com/dunglas/mercure/cmd/mercure"
    leaves_out = {"websocket-1000": "Mercure has no WebSocket"}  # noqa: RUF012 - read only

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it."""
        port, key = free_port(), secrets.token_urlsafe(32)
        environment = {
            "ADDR": f"127.0.0.1:{port}",
            "TRANSPORT_URL": "local://local",
            "PUBLISHER_JWT_KEY": key,
            "SUBSCRIBER_JWT_KEY": key,
            "ALLOW_ANONYMOUS": "1",
            "LOG_LEVEL": "error",
        }
        path = "/.well-known/mercure"
        with (
            scratch() as folder,
            running([str(self._program())], folder=folder, port=port, environment=environment, cwd=folder) as pid,
        ):
            yield Endpoint(
                address=f"127.0.0.1:{port}",
                pids=family(pid),
                subscribe=get(path + "?topic={topic}"),
                publish=post(
                    path,
                    ("authorization", f"Bearer {_token({'mercure': {'publish': ['*']}}, key)}"),
                    ("content-type", "application/x-www-form-urlencoded"),
                    body="topic={topic}&data={data}",
                ),
                more={"publish_status": [200], "dropped_status": [200], "probe_target": "/healthz"},
            )


def _token(claims: dict[str, object], key: str) -> str:
    """Sign a JSON Web Token with HS256 (RFC 7515 §3.3)."""

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encode(b'{"alg":"HS256","typ":"JWT"}') + "." + encode(json.dumps(claims).encode())
    return head + "." + encode(hmac.digest(key.encode(), head.encode(), hashlib.sha256))


class Centrifugo(_GoProgram):
    """Centrifugo with its memory engine and one-way (SSE, WebSocket) transports."""

    name = "centrifugo"
    title = "Centrifugo"
    package = "github.com/centrifugal/centrifugo/v5"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it."""
        port, key = free_port(), secrets.token_urlsafe(24)
        configuration = {
            "address": "127.0.0.1",
            "port": port,
            "api_key": key,
            "log_level": "error",
            "uni_sse": True,
            "uni_websocket": True,
            "health": True,
            "allow_anonymous_connect_without_token": True,
            "allow_subscribe_for_client": True,
            "allow_subscribe_for_anonymous": True,
            "token_hmac_secret_key": key,
        }
        connect = '{"subs":{"{topic}":{}}}'
        with scratch() as folder:
            (folder / "config.json").write_text(json.dumps(configuration))
            command = [str(self._program()), "--config", str(folder / "config.json")]
            with running(command, folder=folder, port=port, cwd=folder) as pid:
                yield Endpoint(
                    address=f"127.0.0.1:{port}",
                    pids=family(pid),
                    subscribe=get(
                        "/connection/uni_sse?cf_connect=" + urllib.parse.quote(connect, safe="{}topic"),
                        ("accept", "text/event-stream"),
                    ),
                    websocket=upgrade("/connection/uni_websocket"),
                    publish=post(
                        "/api/publish",
                        ("x-api-key", key),
                        ("content-type", "application/json"),
                        body='{"channel":"{topic}","data":"{data}"}',
                    ),
                    more={
                        "open_after": '"connect":',
                        "websocket_open_after": '"connect":',
                        "websocket_send": [connect],
                        "publish_status": [200],
                        "dropped_status": [200],
                        "probe_target": "/health",
                    },
                )


class Pushpin(Peer):
    """Pushpin in front of a small origin that holds every request open. The origin's own cost is not counted."""

    name = "pushpin"
    title = "Pushpin"
    leaves_out = {"websocket-1000": "needs an origin that speaks WebSocket-over-HTTP; not set up"}  # noqa: RUF012

    def missing(self) -> str | None:
        """Look for it."""
        return None if shutil.which("pushpin") else "Pushpin is not installed (Debian: pushpin)"

    def version(self) -> str:
        """Return its version."""
        return f"pushpin {_debian_version('pushpin')}"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it and its origin."""
        port, origin, push = free_port(), free_port(), free_port()
        with scratch() as folder:
            ports = {"PORT": port, "HTTP": push, "PUSH": free_port(), "SUB": free_port(), "COMMAND": free_port()}
            _configure("pushpin.conf", folder / "pushpin.conf", FOLDER=folder, **ports)
            (folder / "routes").write_text(f"* 127.0.0.1:{origin}\n")
            application = [sys.executable, str(CONFIGURATIONS / "apps" / "pushpin_origin.py"), str(origin)]
            command = ["pushpin", f"--config={folder / 'pushpin.conf'}"]
            with (
                running(application, folder=folder, port=origin),
                running(command, folder=folder, port=push, cwd=folder) as pid,
            ):
                _wait_until_family(pid, 5)
                yield Endpoint(
                    address=f"127.0.0.1:{port}",
                    pids=family(pid),
                    subscribe=get("/sse?topic={topic}"),
                    publish=post(
                        "/publish/",
                        ("content-type", "application/json"),
                        body='{"items":[{"channel":"{topic}","formats":'
                        '{"http-stream":{"content":"id: {id}\\ndata: {data}\\n\\n"}}}]}',
                    ),
                    more={
                        # A request moves from the proxy to the handler once it is held. While others are on that way
                        # the handler misses messages of streams, logs "received message out of sequence" and cancels
                        # them: so one opens after the other, and nothing is published for a while.
                        "opening_at_most": 1,
                        "settle_seconds": 3.0,
                        "publish_address": f"127.0.0.1:{push}",
                        "publish_status": [200],
                        "dropped_status": [200],
                        "probe_target": "/health",
                    },
                )


def _wait_until_family(pid: int, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(family(pid)) < count:
        if time.monotonic() > deadline:
            raise ServerFailed(f"only {len(family(pid))} of {count} processes are there")
        time.sleep(0.02)
