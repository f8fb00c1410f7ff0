"""Podman as machines without a container engine can run it: no control groups, and a network of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PREPARE = 'mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified; {network} exec "$@"'

# podman's name server keeps its traces in a folder, those of a network that is gone as well.
_OWN_NETWORK = (
    "ip link set lo up; mkdir -p /run/containers/networks; mount -t tmpfs networks /run/containers/networks; "
)


def environment() -> dict[str, str]:
    """The environment for podman and buildah; makes their configuration."""
    file = Path(tempfile.gettempdir()) / f"gateway-containers-{os.getuid()}.conf"
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65_536)
    file.write_text(
        f'[containers]\ncgroups = "disabled"\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n',
        encoding="utf-8",
    )
    # Health checks are timers of systemd otherwise.
    return {**os.environ, "CONTAINERS_CONF": str(file), "DISABLE_HC_SYSTEMD": "true"}


def inside(command: Sequence[str], *, own_network: bool) -> list[str]:
    """The command that runs *command* where containers can be run.

    Args:
        command: what to run, with its arguments.
        own_network: whether it gets a network of its own, in which bridges, name servers and published ports disturb
            nobody; without it the machine's own, for builds that download.
    """
    unshare = ["unshare", "--mount", "--propagation", "private", *(["--net"] if own_network else [])]
    prepare = _PREPARE.format(network=_OWN_NETWORK if own_network else "")
    return [*unshare, "sh", "-c", prepare, "sh", *command]


def run(command: Sequence[str], *, own_network: bool = False, timeout: float = 600, may_fail: bool = False) -> str:
    """Run *command* and return what it wrote.

    Raises:
        subprocess.CalledProcessError: it failed; its output has been printed, unless it *may_fail*.
    """
    ended = subprocess.run(
        inside(command, own_network=own_network), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if ended.returncode:
        if not may_fail:
            print(ended.stdout)
        raise subprocess.CalledProcessError(ended.returncode, command)
    return ended.stdout
