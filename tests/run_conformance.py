"""Run the conformance suite: ``python -m tests.run_conformance [--server daphne uvicorn] [-- pytest arguments]``.

With ``GATEWAY_URL`` and ``GATEWAY_API_KEY`` in the environment it tests that gateway and starts none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import httpx
import psutil

from tests.gateway import ROOT, GatewayFailed, RunningGateway

SERVERS = ("daphne", "uvicorn")
RESULTS = ROOT / "test-results"
SETTLE_SECONDS = 15.0
SPARE_FILES = 4


def run_suite(name: str, url: str, key: str, arguments: Sequence[str]) -> int:
    """Run pytest on ``tests/conformance`` against *url*; returns its exit code."""
    print(f"== conformance: {name} ({url})", flush=True)
    RESULTS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q"]
    command += [f"--junitxml={RESULTS / f'conformance-{name}.xml'}", *arguments]
    environment = os.environ | {"GATEWAY_URL": url, "GATEWAY_API_KEY": key}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def run_server(server: str, arguments: Sequence[str]) -> int:
    """Start a gateway under *server* and run the suite against it.

    A gateway that ended, that did not end when asked, that keeps something of its clients, or that logged an error
    has failed too.
    """
    try:
        with RunningGateway(server) as gateway:
            files = open_files(gateway)
            code = run_suite(server, gateway.url, gateway.key, arguments)
            survived = gateway.running
            left = leftovers(gateway, files) if survived else {}
            stopped = gateway.stop()
    except GatewayFailed as error:
        print(error, file=sys.stderr)
        return 1
    log = RESULTS / f"conformance-{server}.log"
    log.write_text(gateway.log + "\n", encoding="utf-8")
    if not survived or stopped != 0:
        print(
            f"the gateway ended {'when asked' if survived else 'by itself'} with {stopped}: see {log}", file=sys.stderr
        )
        code = code or 1
    if left:
        print(f"the gateway still has, {SETTLE_SECONDS:g} s after the last client: {left}", file=sys.stderr)
        code = code or 1
    if errors := gateway.errors:
        print("\n".join(errors), f"the gateway logged {len(errors)} errors: see {log}", sep="\n", file=sys.stderr)
        code = code or 1
    return code


def open_files(gateway: RunningGateway) -> int:
    """How many file descriptors the gateway has open."""
    return psutil.Process(gateway.pid).num_fds()


def leftovers(gateway: RunningGateway, files: int) -> dict[str, int]:
    """What is left of the suite's clients once they are all gone; empty when all is well.

    Args:
        gateway: the gateway that they were connected to.
        files: how many file descriptors it had before the first of them.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        with httpx.Client(headers={"authorization": f"Bearer {gateway.key}"}, trust_env=False) as http:
            stats = http.get(f"{gateway.url}/api/v1/stats").raise_for_status().json()
        left = {name: stats[name] for name in ("connections", "topics") if stats[name]}
        # This request's own connection is open; so may be a store's or a thread pool's that came with use.
        if (more := open_files(gateway) - files) > SPARE_FILES:
            left["file descriptors"] = more
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every test passed everywhere."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.run_conformance", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--server", nargs="+", choices=SERVERS, default=list(SERVERS), help="servers to start")
    given = list(sys.argv[1:] if arguments is None else arguments)
    separator = given.index("--") if "--" in given else len(given)
    options, for_pytest = parser.parse_args(given[:separator]), given[separator + 1 :]
    url = os.environ.get("GATEWAY_URL")
    if url:
        key = os.environ.get("GATEWAY_API_KEY")
        if not key:
            parser.error("GATEWAY_URL is set: set GATEWAY_API_KEY too, to a key of that gateway")
        return run_suite("given", url, key, for_pytest)
    codes = {server: run_server(server, for_pytest) for server in options.server}
    for server, code in codes.items():
        print(f"{server}: {'passed' if code == 0 else f'failed ({code})'}")
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main())
