"""The programs that the tests of deployments need: what is missing, and who brings it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.gateway import ROOT

DEBIAN = {
    "podman": "podman",
    "buildah": "buildah",
    "crun": "crun",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
    "fuse-overlayfs": "fuse-overlayfs",
    "iptables": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "docker-compose": "docker-compose",
    "haproxy": "haproxy",
    "caddy": "caddy",
    "nginx": "nginx-light",
    "redis-server": "redis-server",
    "shellcheck": "shellcheck",
    "openssl": "openssl",
    "node": "nodejs",
    "npm": "npm",
}
"""Programs, and the Debian packages that bring them."""
HELM = "helm.sh/helm/v3/cmd/helm@v3.18.6"
FOLDER = ROOT / ".venv" / "tools"
"""What is built here; the system is left as it is."""
WHERE = ":".join(
    [str(FOLDER), os.environ.get("PATH", ""), "/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec/podman:/usr/lib/podman"]
)


def which(program: str) -> str | None:
    """Where *program* is, in the places of system programs too."""
    return shutil.which(program, path=WHERE)


def missing() -> list[str]:
    """Which of the programs in `DEBIAN` are not on this machine."""
    return [program for program in DEBIAN if which(program) is None]


def missing_for_containers() -> list[str]:
    """What is not on this machine of that without which no container can run."""
    wanted = ("podman", "buildah", "crun", "netavark", "aardvark-dns", "iptables", "ip", "unshare")
    return [*([] if os.geteuid() == 0 else ["root"]), *(each for each in wanted if which(each) is None)]


def install() -> int:
    """Install the Debian packages of what is missing; returns apt-get's exit code."""
    packages = sorted({DEBIAN[program] for program in missing()})
    if not packages:
        print("Everything that Debian brings is there.")
        return 0
    if shutil.which("apt-get") is None:
        print(f"Not installed, for there is no apt-get here: {', '.join(packages)}", file=sys.stderr)
        return 1
    # Servers are installed for the tests, which start their own: not to be started with the machine's settings.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
    try:
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        return subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=False).returncode
    finally:
        if ours:
            policy.unlink()


def build_helm() -> None:
    """Have Helm: the machine's own, or one built with Go; without both the chart's tests are not run, and say so."""
    if which("helm") is not None or shutil.which("go") is None:
        return
    print(f"Building {HELM} (some minutes, once)", flush=True)
    built = subprocess.run(
        ["go", "install", HELM], env=os.environ | {"GOBIN": str(FOLDER)}, capture_output=True, text=True, check=False
    )
    if built.returncode:
        print(f"Helm could not be built: {built.stderr.strip()[-500:]}", flush=True)


if __name__ == "__main__":
    sys.exit(install())
