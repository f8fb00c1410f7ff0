"""Run the conformance suite: ``python -m tests.run_conformance [--server daphne uvicorn] [-- pytest arguments]``.

With ``GATEWAY_URL`` and ``GATEWAY_API_KEY`` in the environment it tests that gateway and starts none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from tests.gateway import ROOT, GatewayFailed, RunningGateway

SERVERS = ("daphne", "uvicorn")


def run_suite(name: str, url: str, key: str, arguments: Sequence[str]) -> int:
    """Run pytest on ``tests/conformance`` against *url*; returns its exit code."""
    print(f"== conformance: {name} ({url})", flush=True)
    results = ROOT / "test-results"
    results.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q"]
    command += [f"--junitxml={results / f'conformance-{name}.xml'}", *arguments]
    environment = os.environ | {"GATEWAY_URL": url, "GATEWAY_API_KEY": key}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def run_server(server: str, arguments: Sequence[str]) -> int:
    """Start a gateway under *server* and run the suite against it; a gateway that died is a failure too."""
    try:
        with RunningGateway(server) as gateway:
            code = run_suite(server, gateway.url, gateway.key, arguments)
            if not gateway.running:
                print(f"the gateway ended during the run; its log:\n{gateway.log}", file=sys.stderr)
                return code or 1
            stopped = gateway.stop()
    except GatewayFailed as error:
        print(error, file=sys.stderr)
        return 1
    unhandled = [line for line in gateway.lines if "Traceback (most recent call last)" in line]
    if unhandled or stopped != 0:
        print(f"exit code {stopped}, {len(unhandled)} tracebacks; the log:\n{gateway.log[-20000:]}", file=sys.stderr)
        return code or 1
    return code


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
