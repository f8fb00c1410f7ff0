"""``make deploy-test``: build the images, then run tests/deploy where containers can run.

What cannot run on this machine is named, and counts as not run.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.deploy import images, sandbox
from tests.gateway import ROOT


def main() -> int:
    """The exit code of pytest."""
    given = sys.argv[1:]
    where = [] if any(argument.startswith("tests/") for argument in given) else ["tests/deploy"]
    command = [sys.executable, "-m", "pytest", *("-rs", "-m", ""), *where, *given]
    absent = sandbox.missing()
    if absent:
        print(f"Not run: what needs containers; missing: {', '.join(absent)} ({sandbox.INSTALL})")
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    else:
        if "DEPLOY_SKIP_IMAGE" not in os.environ:
            images.prepare_bases()
            images.build_gateway()
        environment = sandbox.environment() | {"DEPLOY_CONTAINERS": "yes"}
        code = subprocess.run(
            sandbox.inside(command, own_network=True), cwd=ROOT, env=environment, check=False
        ).returncode
    print("Not run: what needs a Google Cloud account, a Kubernetes cluster, or Terraform's providers.")
    return code


if __name__ == "__main__":
    sys.exit(main())
