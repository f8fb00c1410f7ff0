"""Run the conformance suite: ``python -m tests.run_conformance [--server daphne] [--nodes 3] [-- pytest arguments]``.

``--target worker`` checks the Cloudflare Worker under ``wrangler dev`` instead.

Several nodes are workers on one port, over which the kernel spreads the connections; they have a Redis of their own.

With ``GATEWAY_URL`` and ``GATEWAY_API_KEY`` in the environment it tests that gateway and starts none.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import httpx
import psutil

from tests.all_nodes import wait_until_ready
from tests.gateway import ROOT, GatewayFailed, RunningGateway
from tests.redis_server import BINARY, RedisServer
from tests.reporting import summary
from tests.worker import WRANGLER, RunningWorker

SERVERS = ("daphne", "uvicorn")
RESULTS = ROOT / "test-results"
SETTLE_SECONDS = 15.0
WORKER_SETTLE_SECONDS = 25.0
"""A keep-alive, and time for a busy machine: only a write finds out that the client of a silent stream has gone."""
SPARE_FILES = 4
NODE_TTL_SECONDS = 5
HISTORY = "conformance/kept/*=1000/10m"
"""Without it the suite leaves out what needs history, and says so."""


def run_suite(name: str, url: str, key: str, arguments: Sequence[str], target: str | None = None) -> int:
    """Run pytest on ``tests/conformance`` against *url*; returns its exit code.

    Args:
        name: For the results' folder.
        url: Of the gateway.
        key: One of its keys.
        arguments: For pytest.
        target: Whose listed differences hold, None for a gateway that has none.
    """
    print(f"== conformance: {name} ({url})", flush=True)
    RESULTS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", *arguments]
    if not arguments:
        # Of the whole suite only: some of its tests are no result.
        command += [f"--junitxml={RESULTS / f'conformance-{name}' / 'junit.xml'}"]
    environment = os.environ | {"GATEWAY_URL": url, "GATEWAY_API_KEY": key}
    if target is not None:
        environment["CONFORMANCE_TARGET"] = target
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if not arguments:
        print(summary.told(summary.write(f"conformance-{name}")))
    return code


@contextlib.contextmanager
def gateway_of(server: str, nodes: int) -> Iterator[RunningGateway]:
    """A gateway of so many nodes; with more than one, they have a Redis of their own."""
    if nodes == 1:
        with RunningGateway(server, history=HISTORY) as gateway:
            yield gateway
        return
    with (
        RedisServer() as redis,
        RunningGateway(
            server,
            arguments=["--workers", str(nodes)],
            redis_url=redis.url,
            node_ttl_seconds=NODE_TTL_SECONDS,
            history=HISTORY,
        ) as gateway,
    ):
        wait_until_ready(gateway, nodes)
        yield gateway


def run_server(server: str, nodes: int, arguments: Sequence[str]) -> int:
    """Start a gateway under *server*, of so many nodes, and run the suite against it.

    A gateway that ended, that did not end when asked, that keeps something of its clients, or that logged an error
    has failed too.
    """
    name = server if nodes == 1 else f"{server}-{nodes}-nodes"
    try:
        with gateway_of(server, nodes) as gateway:
            files = open_files(gateway)
            code = run_suite(name, gateway.url, gateway.key, arguments)
            survived = gateway.running
            left = leftovers(gateway, files, nodes) if survived else {}
            stopped = gateway.stop()
    except GatewayFailed as error:
        print(error, file=sys.stderr)
        return 1
    log = RESULTS / f"conformance-{name}.log"
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


def run_worker(arguments: Sequence[str]) -> int:
    """Start the Cloudflare Worker and run the suite against it. It too must survive, and forget its clients."""
    if not WRANGLER.exists():
        print("not run: the Worker's packages are not installed (make worker)", file=sys.stderr)
        return 1
    try:
        with RunningWorker(history=HISTORY) as worker:
            code = run_suite("worker", worker.url, worker.key, arguments, "worker")
            survived = worker.running
            if survived:
                close_the_unnoticed(worker.url, worker.key)
            left = lists_left(worker.url, worker.key, WORKER_SETTLE_SECONDS) if survived else {}
    except GatewayFailed as error:
        print(error, file=sys.stderr)
        return 1
    log = RESULTS / "conformance-worker.log"
    log.write_text(worker.log + "\n", encoding="utf-8")
    if not survived or left:
        print(f"the Worker {f'still lists {left}' if survived else 'ended by itself'}: see {log}", file=sys.stderr)
        code = code or 1
    if errors := worker.errors:
        print(*errors[:20], f"the Worker logged {len(errors)} errors: see {log}", sep="\n", file=sys.stderr)
        code = code or 1
    return code


def close_the_unnoticed(url: str, key: str) -> None:
    """Close, as an administrator would, the WebSockets that a listed difference of the Worker leaves in its lists.

    Raises:
        httpx.HTTPStatusError: one cannot be closed.
    """
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=30) as http:
        while True:
            page = http.get("/api/v1/connections", params={"limit": 500}).raise_for_status().json()["items"]
            lost = [item["id"] for item in page if any("/vanishing/" in topic for topic in item["topics"])]
            if not lost:
                return
            for id in lost:
                answer = http.delete(f"/api/v1/connections/{id}")
                if answer.status_code != 404:
                    answer.raise_for_status()


def lists_left(url: str, key: str, seconds: float) -> dict[str, int]:
    """What the lists still hold so many seconds after the last client; empty when all is well."""
    deadline = time.monotonic() + seconds
    with httpx.Client(headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=30) as http:
        while True:
            stats = http.get(f"{url}/api/v1/stats").raise_for_status().json()
            if not stats["connections"] or time.monotonic() > deadline:
                return {"connections": stats["connections"]} if stats["connections"] else {}
            time.sleep(0.5)


def open_files(gateway: RunningGateway) -> int:
    """How many file descriptors the gateway's processes have open."""
    process = psutil.Process(gateway.pid)
    return sum(each.num_fds() for each in (process, *process.children()))


def leftovers(gateway: RunningGateway, files: int, nodes: int) -> dict[str, int]:
    """What is left of the suite's clients once they are all gone; empty when all is well.

    Args:
        gateway: the gateway that they were connected to.
        files: how many file descriptors it had before the first of them.
        nodes: how many nodes it has.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        with httpx.Client(headers={"authorization": f"Bearer {gateway.key}"}, trust_env=False) as http:
            stats = http.get(f"{gateway.url}/api/v1/stats").raise_for_status().json()
        left = {name: stats[name] for name in ("connections", "topics") if stats[name]}
        # This request's own connection is open; so may be a store's or a thread pool's that came with use.
        if (more := open_files(gateway) - files) > SPARE_FILES * nodes:
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
    parser.add_argument("--nodes", type=int, default=1, help="nodes of each gateway that is started (default: 1)")
    parser.add_argument("--target", choices=("worker",), help="check this instead of the servers")
    given = list(sys.argv[1:] if arguments is None else arguments)
    separator = given.index("--") if "--" in given else len(given)
    options, for_pytest = parser.parse_args(given[:separator]), given[separator + 1 :]
    url = os.environ.get("GATEWAY_URL")
    if url:
        key = os.environ.get("GATEWAY_API_KEY")
        if not key:
            parser.error("GATEWAY_URL is set: set GATEWAY_API_KEY too, to a key of that gateway")
        return run_suite("given", url, key, for_pytest, options.target)
    if options.target == "worker":
        return run_worker(for_pytest)
    if options.nodes > 1 and BINARY is None:
        print(f"not run with {options.nodes} nodes: redis-server is not installed")
        return 0
    codes = {server: run_server(server, options.nodes, for_pytest) for server in options.server}
    for server, code in codes.items():
        print(f"{server}: {'passed' if code == 0 else f'failed ({code})'}")
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main())
