"""The container image, really run: read-only, as nobody, without capabilities, and drained by SIGTERM."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.deploy.conftest import needs_containers, podman
from tests.deploy.images import GATEWAY
from tests.server_process import free_port

pytestmark = needs_containers
MOST_MEGABYTES = 200
MOST_SECONDS = 3.0
LOCKED = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
]


@pytest.fixture
def container() -> Iterator[tuple[str, int, float]]:
    """A running one, locked down: its name, its port and the seconds until it was ready."""
    name, port = "gateway-under-test", free_port()
    podman("rm", "-f", "-t", "0", name, check=False)
    begun = time.monotonic()
    podman("run", "-d", "--name", name, *LOCKED, "-e", "GATEWAY_API_KEYS=key", "-e", f"PORT={port}", GATEWAY)
    try:
        yield name, port, wait_until_ready(name, port) - begun
    finally:
        podman("rm", "-f", "-t", "0", name, check=False)


def wait_until_ready(name: str, port: int) -> float:
    """When it was, on the monotonic clock."""
    deadline = time.monotonic() + 20
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200:
                return time.monotonic()
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, podman("logs", name)
        time.sleep(0.02)


def test_it_is_small_and_says_what_it_is() -> None:
    image = json.loads(podman("image", "inspect", GATEWAY))[0]
    print(f"{image['Size'] / 1e6:.0f} MB")
    assert image["Size"] < MOST_MEGABYTES * 1e6
    assert image["Config"]["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert image["Config"]["User"] == "65532:65532"
    assert image["Config"]["StopSignal"] == "SIGTERM"


def test_it_has_no_shell() -> None:
    for shell in ("/bin/sh", "/bin/bash", "/bin/dash", "/busybox/sh"):
        assert "no such file" in podman_error("run", "--rm", "--entrypoint", shell, GATEWAY, "-c", "true")


def podman_error(*arguments: str) -> str:
    """What it wrote when it failed, in lower case."""
    with pytest.raises(AssertionError) as failed:
        podman(*arguments)
    return str(failed.value).lower()


def test_it_starts_soon_as_nobody_on_a_read_only_root(container: tuple[str, int, float]) -> None:
    name, port, seconds = container
    for _ in range(4):
        # The best of some: the machine may be busy with something else.
        begun = time.monotonic()
        podman("restart", name)
        seconds = min(seconds, wait_until_ready(name, port) - begun)
    used = processor_seconds(name)
    print(f"ready {seconds:.2f} s after podman run or restart; {used:.2f} s of processor time")
    assert used < MOST_SECONDS
    status = podman("exec", name, "/usr/bin/python3.11", "-c", "print(open('/proc/1/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    write = "open('/opt/gateway/app/x', 'w')"
    assert "read-only file system" in podman_error("exec", name, "/usr/bin/python3.11", "-c", write)
    busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    if busy and seconds >= MOST_SECONDS:
        pytest.skip(
            f"not run: this machine is too busy to time a start ({seconds:.1f} s, load {os.getloadavg()[0]:.0f})"
        )
    assert seconds < MOST_SECONDS


def processor_seconds(name: str) -> float:
    """The processor time that the container's first process has had since its start, in seconds."""
    fields = podman("exec", name, "/usr/bin/python3.11", "-c", "print(open('/proc/1/stat').read())").rpartition(")")[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_the_health_check_tells_alive_from_dead(container: tuple[str, int, float]) -> None:
    name, _, _ = container
    podman("healthcheck", "run", name)
    check = ["/usr/bin/python3.11", "-S", "-E", "/opt/gateway/healthcheck.py"]
    assert podman("exec", name, *check, "/ready").lower().startswith(("ready", '{"status": "ready"'))
    assert podman_error("exec", "-e", "PORT=1", name, *check, "/health") is not None
    assert podman_error("exec", name, *check, "/nothing") is not None


def test_sigterm_drains_it(container: tuple[str, int, float]) -> None:
    name, port, _ = container
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /sse?topic=a HTTP/1.1\r\nhost: a\r\n\r\n")
        received = b""
        while b"gateway.open" not in received:
            received += client.recv(65_536)
        begun = time.monotonic()
        podman("kill", "--signal", "TERM", name)
        while piece := client.recv(65_536):
            received += piece
    assert b"event: gateway.close" in received
    assert b'"reason":"shutdown"' in received
    assert podman("wait", name).strip() == "0"
    assert time.monotonic() - begun < 10
