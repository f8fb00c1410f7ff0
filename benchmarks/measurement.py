"""One run of the generator against one freshly started server."""

import json
import os
import subprocess
import time
from typing import Any

from benchmarks import machine
from benchmarks.peers.base import Endpoint, Peer
from benchmarks.rows import Row
from benchmarks.server import ServerFailed

RUN_SECONDS = 300.0
"""The longest that one run may take."""

Report = dict[str, Any]
"""What the generator printed; with the key `error` when a check failed."""


def measure(peer: Peer, row: Row, seconds: float | None) -> Report:
    """Start a server, drive it, end it.

    Args:
        peer: The server.
        row: What to do with it.
        seconds: How long to publish, instead of the generator's own measure; idle runs keep theirs.

    Returns:
        The generator's report. A server that fails, or that loses, repeats or reorders an event, gets no figures.
    """
    began = time.monotonic()
    try:
        with peer.start() as endpoint:
            report = drive(endpoint, row, seconds)
    except ServerFailed as failure:
        report = {"error": str(failure)}
    report["whole_run_seconds"] = round(time.monotonic() - began, 1)
    return report


def drive(endpoint: Endpoint, row: Row, seconds: float | None) -> Report:
    """Drive a server that runs; arguments and report are as of `measure`."""
    settings: dict[str, Any] = {
        "address": endpoint.address,
        "pids": endpoint.pids,
        "publish": endpoint.publish,
        "subscribe": endpoint.subscribe,
        "transport": "sse",
    }
    more = dict(endpoint.more)
    probe_target = more.pop("probe_target", "")
    websocket_open_after = more.pop("websocket_open_after", "")
    websocket_send = more.pop("websocket_send", [])
    at_most = more.pop("opening_at_most", 0)
    settings |= more
    if row.websocket:
        if endpoint.websocket is None:
            return {"error": "it has no WebSocket"}
        settings |= {
            "transport": "websocket",
            "subscribe": endpoint.websocket,
            "open_after": websocket_open_after,
            "websocket_send": websocket_send,
        }
    wanted = dict(row.settings)
    if wanted.pop("probe", False):
        settings["probe_target"] = probe_target
    settings |= wanted
    if seconds is not None and settings["mode"] != "idle":
        settings["seconds"] = seconds
    at_once = settings.get("opening") == 0
    if at_most:
        settings["opening"] = at_most
    report = run_generator(settings)
    if at_most and at_once:
        # It was spared what the others had to take, so how long it took says nothing.
        report.pop("open_seconds", None)
    return report


def run_generator(settings: dict[str, Any]) -> Report:
    """Run the generator on its own core and return its report."""
    command = machine.pinned([str(machine.BENCH / "bin" / "loadgen")], 1)
    try:
        done = subprocess.run(
            command,
            input=json.dumps(settings),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"the run took more than {RUN_SECONDS:g} s"}
    try:
        report: Report = json.loads(done.stdout)
    except ValueError:
        return {"error": f"the generator ended with {done.returncode}: {done.stderr[-500:]}"}
    report["load_average"] = round(os.getloadavg()[0], 2)
    return report
