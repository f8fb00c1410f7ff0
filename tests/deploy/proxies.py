"""Real proxies with the configurations of deploy/proxies, in front of gateways on this machine."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

from tests.deploy.tools import which
from tests.gateway import ROOT
from tests.server_process import free_port

CONFIGURATIONS = ROOT / "deploy" / "proxies"
START_SECONDS = 60.0
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddy": "Caddyfile"}


def installed(proxy: str) -> bool:
    """Whether *proxy* is on this machine."""
    return which(proxy) is not None


def configuration(proxy: str, port: int, nodes: Sequence[int], hosts: Sequence[str]) -> str:
    """The configuration as it is in the repository, but for its ports, and with as many nodes as there are."""
    text = (CONFIGURATIONS / FILES[proxy]).read_text(encoding="utf-8")
    assert len(nodes) == 3, "the configurations have three nodes"
    for number, (host, node) in enumerate(zip(hosts, nodes, strict=True), start=8081):
        text, found = re.subn(rf"127\.0\.0\.1:{number}\b", f"{host}:{node}", text)
        assert found == 1, number
    listening = {"nginx": "listen 8080 ", "haproxy": "bind :8080", "caddy": "\n:8080 {"}[proxy]
    assert text.count(listening) == 1
    return text.replace(listening, listening.replace("8080", str(port)))


class Proxy:
    """One proxy as a child process in the foreground.

    Args:
        proxy: ``nginx``, ``haproxy`` or ``caddy``.
        nodes: the ports of three gateways.
        hosts: their addresses; loopback when not given.
    """

    def __init__(self, proxy: str, nodes: Sequence[int], *, hosts: Sequence[str] = ("127.0.0.1",) * 3) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix=f"{proxy}-")
        folder = Path(self._folder.name)
        file = folder / FILES[proxy]
        file.write_text(configuration(proxy, self.port, nodes, hosts), encoding="utf-8")
        self._log = (folder / "log").open("w+", encoding="utf-8")
        command = {
            "nginx": [
                *("nginx", "-p", str(folder), "-e", "stderr", "-c", str(file)),
                *("-g", f"daemon off; pid {folder}/pid; error_log stderr warn;"),
            ],
            "haproxy": ["haproxy", "-db", "-f", str(file)],
            "caddy": ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)],
        }[proxy]
        binary = which(command[0])
        assert binary is not None, proxy
        self._process = subprocess.Popen(
            [binary, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        )

    @property
    def log(self) -> str:
        """All that it has written."""
        self._log.seek(0)
        return self._log.read()

    def wait_until_ready(self) -> None:
        """Wait until a node answers through it."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/ready", trust_env=False, timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._folder.cleanup()
