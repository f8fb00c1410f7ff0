"""The gateway as a Cloudflare Worker, in workerd on this machine."""

import contextlib
import json
import os
from pathlib import Path

from tests.worker import FOLDER, WRANGLER, RunningWorker

from benchmarks import machine
from benchmarks.peers.base import Endpoint, Peer, Started
from benchmarks.peers.gateway import endpoint


class Worker(Peer):
    """`wrangler dev --local`; subscribers and publishers go to workerd itself, past Wrangler's proxy."""

    name = "gateway-worker"
    title = "this gateway, Worker in workerd"

    def missing(self) -> str | None:
        """Return why it cannot run here, or None."""
        return None if WRANGLER.exists() else "the Worker's packages are not installed (make worker)"

    def version(self) -> str:
        """Return the commit and Wrangler's version."""
        package = json.loads((FOLDER / "node_modules" / "wrangler" / "package.json").read_text(encoding="utf-8"))
        return f"{machine.commit()}, wrangler {package['version']}"

    @contextlib.contextmanager
    def start(self) -> Started:
        """Run it; `GATEWAY_LOG_LEVEL` is the one setting that is not as by default."""
        with RunningWorker(log_level="warning") as worker:
            pin(worker.workerd)
            described: Endpoint = endpoint([worker.url.removeprefix("http://")], [worker.workerd], worker.key)
            yield described


def pin(pid: int) -> None:
    """Put a process and all its threads on the server's core, where there are two."""
    prefix = machine.pinned([], 0)
    if prefix:
        core = {int(prefix[2])}
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), core)
