"""Starts `daphne_child.py`, and asks it what it has seen."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.raw.http import DEADLINE, HttpConnection, Response, request

CHILD = Path(__file__).with_name("daphne_child.py")


class DaphneProcess:
    """A small application under Daphne with the gateway's additions, in a process of its own.

    Args:
        environment: `TEST_HEADER_TIMEOUT` and `TEST_HEARTBEAT` in seconds.
    """

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> tuple[int, str]:
        """Send SIGTERM; returns the exit status and all of standard error."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, errors

    async def ask(self, target: str) -> Response:
        """Make a GET on a connection of its own."""
        async with await HttpConnection.open(self.url) as connection:
            return await connection.exchange(request("GET", target))

    async def state(self) -> dict[str, Any]:
        """Return what the application has seen and what the process holds."""
        state: dict[str, Any] = (await self.ask("/state")).json()
        return state

    async def until(self, holds: Callable[[dict[str, Any]], bool], *, within: float = DEADLINE) -> dict[str, Any]:
        """Wait until something holds for the state."""
        state: dict[str, Any] = {}
        try:
            async with asyncio.timeout(within):
                while not holds(state := await self.state()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"still {state}") from None
        return state

    async def seen(self, name: str, times: int = 1, *, within: float = DEADLINE) -> None:
        """Wait until the application has noted a name so often."""
        await self.until(lambda state: state["seen"].get(name, 0) >= times, within=within)

    async def idle(self) -> dict[str, Any]:
        """Wait until no connection and no task but the asking one is left."""
        return await self.until(lambda state: state["connections"] == 0 and state["tasks"] == 0)
