"""The gateway as a Cloudflare Worker, in workerd on this machine.

Not under `wrangler dev`, whose own Workers (a proxy, assets, logs) stand before each request and cost many times what
the gateway does: the very bundle of a deployment, in workerd with its own configuration.
"""

import contextlib
import json
import secrets
import subprocess
from pathlib import Path

from tests.worker import FOLDER, WRANGLER, inherited_environment, node

from benchmarks import machine
from benchmarks.peers.base import Peer, Started
from benchmarks.peers.gateway import endpoint
from benchmarks.server import ServerFailed, free_port, running, scratch

CONFIGURATION = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "gateway", worker = .gateway),
    (name = "disk", disk = (path = "{folder}/objects", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "gateway")],
);
const gateway :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed "bundle/index.js")],
  compatibilityDate = "{date}",
  compatibilityFlags = [{flags}],
  bindings = [
    (name = "TOPICS", durableObjectNamespace = "Topic"),
    (name = "DIRECTORY", durableObjectNamespace = "Directory"),
    (name = "GATEWAY_API_KEYS", text = "{key}"),
    (name = "GATEWAY_LOG_LEVEL", text = "warning"),
  ],
  durableObjectNamespaces = [
    (className = "Topic", uniqueKey = "topics", enableSql = true),
    (className = "Directory", uniqueKey = "directory", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
);
"""


class Worker(Peer):
    """The Worker's bundle in `workerd serve`, its objects on disk."""

    name = "gateway-worker"
    title = "this gateway, Worker in workerd"

    def missing(self) -> str | None:
        """Return why it cannot run here, or None."""
        return None if WRANGLER.exists() else "the Worker's packages are not installed (make worker)"

    def version(self) -> str:
        """Return the commit and workerd's version."""
        return f"{machine.commit()}, {machine.output_of([str(program()), '--version'])}"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it; `GATEWAY_LOG_LEVEL` is the one setting that is not as by default."""
        key, port = secrets.token_urlsafe(24), free_port()
        with scratch() as folder:
            bundle(folder / "bundle")
            (folder / "objects").mkdir()
            configuration = folder / "workerd.capnp"
            configuration.write_text(filled(folder, port, key), encoding="utf-8")
            with running([str(program()), "serve", str(configuration)], folder=folder, port=port) as pid:
                yield endpoint([f"127.0.0.1:{port}"], [pid], key)


def program() -> Path:
    """Return workerd's binary, as Wrangler brings it."""
    packages = (WRANGLER.parents[1] / "node_modules", FOLDER / "node_modules")
    return next(path for folder in packages for path in folder.glob("@cloudflare/workerd-*/bin/workerd"))


def bundle(folder: Path) -> None:
    """Put the Worker's one file into a folder.

    Raises:
        ServerFailed: It cannot be bundled.
    """
    command = [node(), str(WRANGLER), "deploy", "--dry-run", "--outdir", str(folder)]
    built = subprocess.run(
        command, cwd=FOLDER, env=inherited_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if built.returncode != 0:
        raise ServerFailed(f"the Worker cannot be bundled:\n{built.stderr.decode()}")


def filled(folder: Path, port: int, key: str) -> str:
    """Return workerd's configuration, dated as the deployment's."""
    lines = (FOLDER / "wrangler.jsonc").read_text(encoding="utf-8").splitlines()
    deployed = json.loads(
        "{" + next(line for line in lines if '"compatibility_date"' in line).strip().rstrip(",") + "}"
    )
    flags = next(line for line in lines if '"compatibility_flags"' in line).partition("[")[2].partition("]")[0]
    return CONFIGURATION.format(folder=folder, port=port, key=key, date=deployed["compatibility_date"], flags=flags)
