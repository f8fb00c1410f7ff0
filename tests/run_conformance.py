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
RESULTS = ROOT / "test-results"


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

    A gateway that ended, that did not end when asked, or that logged an error has failed too.
    """
    try:
        with RunningGateway(server) as gateway:
            code = run_suite(server, gateway.url, gateway.key, arguments)
            survived = gateway.running
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
    if errors := gateway.errors:
        print("\n".join(errors), f"the gateway logged {len(errors)} errors: see {log}", sep="\n", file=sys.stderr)
        code = code or 1
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
