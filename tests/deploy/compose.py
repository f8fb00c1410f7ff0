"""deploy/compose.yaml, really brought up by docker-compose through podman's service."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

from tests.deploy.images import GATEWAY
from tests.deploy.tools import which
from tests.gateway import ROOT

BINARY = which("docker-compose")
URL, KEY = "http://127.0.0.1:8080", "a-key-for-this-test"
PROJECT = "gatewaytest"


class Compose:
    """One project; when it ends, all that it has made is gone.

    Args:
        settings: lines for ``compose/gateway.env``.
        environment: what a user would export.
    """

    def __init__(self, settings: Sequence[str] = (), **environment: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="compose-"))
        shutil.copytree(ROOT / "deploy", self._folder / "deploy")
        with (self._folder / "deploy/compose/gateway.env").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in settings)
        self._socket = self._folder / "podman.sock"
        self._environment = os.environ | {
            "DOCKER_HOST": f"unix://{self._socket}",
            "GATEWAY_API_KEYS": KEY,
            "SSE_GATEWAY_IMAGE": GATEWAY,
            **environment,
        }
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._service = subprocess.Popen(
            ["podman", "system", "service", "--time=0", f"unix://{self._socket}"], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while not self._socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self("down", "-v", "-t", "0", check=False)
        return self

    def __call__(self, *arguments: str, check: bool = True) -> None:
        """Run ``docker-compose`` with *arguments*."""
        command = [str(BINARY), "-f", str(self._folder / "deploy/compose.yaml"), "-p", PROJECT, *arguments]
        subprocess.run(command, env=self._environment, check=check, timeout=180)

    def __exit__(self, *error: object) -> None:
        self("logs", "--tail", "5", check=False)
        profiles = [part for name in ("single", "postgres", "monitoring") for part in ("--profile", name)]
        self(*profiles, "down", "-t", "12", "-v", check=False)
        if self._service is not None:
            self._service.terminate()
            self._service.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_for_nodes(count: int) -> None:
    """Wait until so many nodes are ready behind the load balancer."""
    deadline = time.monotonic() + 60
    seen: object = None
    while True:
        try:
            answer = httpx.get(f"{URL}/api/v1/nodes", headers={"x-api-key": KEY}, trust_env=False, timeout=3)
            seen = answer.text
            if answer.status_code == 200 and answer.json()["total"] == count:
                return
        except httpx.HTTPError as error:
            seen = error
        assert time.monotonic() < deadline, seen
        time.sleep(0.3)


def wait_until_ready(url: str, seconds: float) -> None:
    """Wait until ``/ready`` says so."""
    deadline = time.monotonic() + seconds
    seen: object = None
    while True:
        try:
            answer = httpx.get(f"{url}/ready", trust_env=False, timeout=3)
            seen = answer.text
            if answer.status_code == 200:
                return
        except httpx.HTTPError as error:
            seen = error
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
