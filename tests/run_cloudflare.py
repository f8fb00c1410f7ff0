"""Check the Worker where it lives: deploy it, run the suite and the examples against its address, delete it.

``CLOUDFLARE_API_TOKEN`` and ``CLOUDFLARE_ACCOUNT_ID`` name the account; without them nothing is run, and the exit code
says so. The Worker gets a name of its own, so that none that is in use is touched. Nothing else stands in for it.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

import httpx

from tests.examples import places
from tests.gateway import ROOT
from tests.reporting import summary
from tests.run_conformance import HISTORY, RESULTS
from tests.worker import FOLDER, WRANGLER, node

ACCOUNT = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")
NOT_RUN = 3
"""Exit code of a check that was not run, for want of what it needs."""
NAME = "e2e-cloudflare"
REACHABLE_SECONDS = 120.0
_ADDRESS = re.compile(r"https://\S+\.workers\.dev")


def wrangler(*arguments: str) -> str:
    """Run Wrangler and return what it wrote.

    Raises:
        subprocess.CalledProcessError: it failed; its output has been printed.
    """
    command = [node(), str(WRANGLER), *arguments]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    done.check_returncode()
    return done.stdout


def wait_until_reachable(url: str) -> None:
    """A new address takes a while to be known everywhere.

    Raises:
        TimeoutError: it did not answer in time.
    """
    deadline = time.monotonic() + REACHABLE_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    raise TimeoutError(f"{url} did not answer within {REACHABLE_SECONDS:g} s")


def check(url: str, key: str, arguments: Sequence[str]) -> int:
    """Run the suite and the examples against a gateway; returns the first exit code that is not 0."""
    results = RESULTS / NAME
    shutil.rmtree(results, ignore_errors=True)
    environment = os.environ | {"GATEWAY_URL": url, "GATEWAY_API_KEY": key, "CONFORMANCE_TARGET": "worker"}
    codes = []
    for what in (["tests/conformance", "-m", "not http1"], ["tests/examples", "-k", "elsewhere"]):
        report = results / f"{what[0].partition('/')[2]}.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *what, *arguments]
        codes.append(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
    print(summary.told(summary.write(NAME)))
    return next((code for code in codes if code != 0), 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy, test, delete; the exit code is pytest's, or ``NOT_RUN``."""
    parser = argparse.ArgumentParser(prog="python -m tests.run_cloudflare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pytest", nargs="*", help="arguments for pytest")
    options = parser.parse_args(arguments)
    missing = [name for name in ACCOUNT if not os.environ.get(name)]
    if missing:
        print(f"not run: set {' and '.join(missing)} to an account that this may deploy to.", file=sys.stderr)
        return NOT_RUN
    subprocess.run(["make", "--no-print-directory", "worker"], cwd=ROOT, check=True)
    name, key = f"sse-gateway-e2e-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    history = f"{HISTORY},{places.HISTORY}"
    try:
        deployed = wrangler(
            *["deploy", "--name", name, "--var", f"GATEWAY_API_KEYS:{key}", "--var", f"GATEWAY_HISTORY:{history}"]
        )
        found = _ADDRESS.search(deployed)
        if found is None:
            print("wrangler named no address of workers.dev", file=sys.stderr)
            return 1
        wait_until_reachable(found[0])
        return check(found[0], key, options.pytest)
    finally:
        wrangler("delete", "--name", name, "--force")


if __name__ == "__main__":
    sys.exit(main())
