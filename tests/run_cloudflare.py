"""Check the Worker where it lives: deploy it, run the suite against its address, delete it.

``CLOUDFLARE_API_TOKEN`` and ``CLOUDFLARE_ACCOUNT_ID`` name the account; without them nothing is run, and the exit code
says so. The Worker gets a name of its own, so that none that is in use is touched.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence

import httpx

from tests.run_conformance import HISTORY, RESULTS, run_suite
from tests.worker import FOLDER, WRANGLER, node

ACCOUNT = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")
NOT_RUN = 77
"""Exit code of a test that was not run, as automake and meson have it."""
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy, test, delete; the exit code is pytest's, or ``NOT_RUN``."""
    parser = argparse.ArgumentParser(prog="python -m tests.run_cloudflare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pytest", nargs="*", help="arguments for pytest")
    options = parser.parse_args(arguments)
    missing = [name for name in ACCOUNT if not os.environ.get(name)]
    if missing:
        print(f"NOT RUN: set {' and '.join(missing)} to an account that this may deploy to.", file=sys.stderr)
        return NOT_RUN
    name, key = f"sse-gateway-e2e-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    settings = ("--var", f"GATEWAY_API_KEYS:{key}", "--var", f"GATEWAY_HISTORY:{HISTORY}")
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        found = _ADDRESS.search(wrangler("deploy", "--name", name, *settings))
        if found is None:
            print("wrangler named no address of workers.dev", file=sys.stderr)
            return 1
        wait_until_reachable(found[0])
        code = run_suite("cloudflare", found[0], key, ["-m", "not http1", *options.pytest], "worker")
    finally:
        wrangler("delete", "--name", name, "--force")
    RESULTS.joinpath("e2e-cloudflare.txt").write_text(f"{started} {'passed' if code == 0 else f'failed ({code})'}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
