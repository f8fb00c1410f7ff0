"""``make deploy-test``: build the images, then run tests/deploy where containers can run.

Exit code 0: all passed; 3: what ran passed, but something of it could not run on this machine, and is named.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.deploy import images, sandbox, tools
from tests.gateway import ROOT
from tests.pubsub import server as pubsub
from tests.reporting import summary


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run *command* to its end, also when told to end: it has containers to take along. Returns its exit code."""
    child = subprocess.Popen(command, cwd=ROOT, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # The terminal has told the child, too.
            continue


def main() -> int:
    """The exit code of pytest."""
    given = sys.argv[1:]
    where = [] if any(argument.startswith("tests/") for argument in given) else ["tests/deploy"]
    command = [sys.executable, "-m", "pytest", *("-rs", "-m", ""), *where, *given]
    if not given:
        command.append(f"--junitxml={ROOT / 'test-results' / 'deploy' / 'junit.xml'}")
    environment = os.environ | {"PATH": tools.WHERE}
    # What is downloaded is downloaded here: the tests have a network of their own.
    tools.build_helm()
    with contextlib.suppress(pytest.skip.Exception):
        pubsub.build()
    if absent := tools.missing():
        print(f"Missing here: {', '.join(absent)}. On Debian, as root: make deploy-tools", flush=True)
    if absent := tools.missing_for_containers():
        print(f"Not run: what needs containers, for want of {', '.join(absent)}", flush=True)
        code = run(command, environment)
    else:
        if "DEPLOY_SKIP_IMAGE" not in os.environ:
            images.prepare_bases()
            images.build_gateway()
        environment |= sandbox.environment() | {"PATH": tools.WHERE, "DEPLOY_CONTAINERS": "yes"}
        code = run(sandbox.inside(command, own_network=True), environment)
    if not given:
        print(summary.told(summary.write("deploy")))
    print("Not run anywhere yet: a Google Cloud account, a Kubernetes cluster, Grafana's own image.")
    return code


if __name__ == "__main__":
    sys.exit(main())
