"""`serve --workers N`: processes on one port, each a node. What dies is started again.

Each worker has a listening socket of its own on the port, and the kernel spreads new connections evenly over them. From
one socket for all, whichever worker wakes first would accept: of connections that stay for hours, one worker would get
the most. The supervisor holds the sockets too, so that clients of a worker that died wait for its successor and are
not refused.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence

from gateway_project.servers.listener import listen

logger = logging.getLogger(__name__)

SUPERVISOR = "SSE_GATEWAY_SUPERVISOR"
"""Variable that tells a worker the process id of its supervisor."""

STABLE_SECONDS = 10.0
"""A worker that lived for so long before it died is started again at once."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
"""Pause before a worker that keeps dying is started again: twice as long each time."""

PATIENCE_SECONDS = 1.0
"""A longer pause closes the worker's socket: those who wait there are cut, and new clients go to the other workers."""

GRACE_SECONDS = 10.0
"""What a worker gets to end in, beside its drain."""

_PR_SET_PDEATHSIG = 1


def pause_after(failures: int) -> float:
    """Return the seconds to wait before a worker is started again.

    Args:
        failures: How many times in a row it died soon after its start.
    """
    if not failures:
        return 0.0
    # Any exponent would do, but 2 to the power of a large one is a large number.
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16))


def end_with_supervisor(environ: Mapping[str, str]) -> None:
    """See to it that this worker gets SIGTERM when its supervisor dies (Linux); does nothing in other processes."""
    supervisor = environ.get(SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):
        sys.exit("The supervisor of this worker has ended.")


class Workers:
    """The processes of one port, and what starts them again.

    Args:
        command: Starts a worker; `--fd=N`, its socket, is added.
        count: How many.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        environment: Variables of a worker beside this process's own, by its number from 1.
        drain_seconds: What a worker may take to drain.

    Raises:
        SystemExit: The address cannot be listened on.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        host: str,
        port: int,
        environment: Callable[[int], Mapping[str, str]],
        drain_seconds: float,
    ) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._drain_seconds = drain_seconds
        # A socket that is not shared finds out whether anybody is there already, one who shares included.
        alone = listen(host, port)
        self._host, self._port = host, int(alone.getsockname()[1])
        alone.close()
        self._sockets: dict[int, socket.socket] = {
            number: listen(host, self._port, shared=True) for number in range(1, count + 1)
        }
        self._processes: dict[int, Process] = {}
        self._statuses: list[int] = []
        self._failed = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, then until all workers have drained.

        Returns:
            0 when all ended as they were asked to, else 1.
        """
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for end in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(end, self._stop)
        keepers = [asyncio.create_task(self._keep(number)) for number in self._sockets]
        await self._stopping.wait()
        for listening in self._sockets.values():
            # A worker closes its own when it has drained; then nobody may be left to wait for.
            listening.close()
        _, late = await asyncio.wait(keepers, timeout=self._drain_seconds + GRACE_SECONDS)
        if late:
            for number, process in self._processes.items():
                logger.error("worker killed", extra={"worker": number, "pid": process.pid})
                process.kill()
        await asyncio.gather(*keepers)
        # A worker that was asked while it was starting had nothing to drain.
        asked = all(status in (0, -signal.SIGTERM) for status in self._statuses)
        return 0 if asked and not self._failed else 1

    def _stop(self) -> None:
        self._stopping.set()
        for process in self._processes.values():
            process.terminate()

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        failures, restarts = 0, 0
        while not self._stopping.is_set():
            begun = loop.time()
            status = await self._start(number)
            if self._stopping.is_set():
                self._statuses.append(status)
                return
            lived = loop.time() - begun
            if status > 0 and not restarts and lived < STABLE_SECONDS:
                logger.error("worker cannot start", extra={"worker": number, "status": status})
                self._failed = True
                self._stop()
                return
            restarts += 1
            failures = failures + 1 if lived < STABLE_SECONDS else 0
            pause = pause_after(failures)
            if pause > PATIENCE_SECONDS:
                self._sockets[number].close()
            logger.warning("worker ended", extra={"worker": number, "status": status, "again_in": pause})
            await self._rest(number, pause)

    async def _start(self, number: int) -> int:
        """Run a worker, and return its exit status, negative for a signal."""
        descriptor = self._sockets[number].fileno()
        process = await asyncio.create_subprocess_exec(
            *self._command,
            f"--fd={descriptor}",
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, SUPERVISOR: str(os.getpid()), **self._environment(number)},
            pass_fds=(descriptor,),
            # Ctrl-C goes to all processes of a terminal's group; a second signal would end a worker at once.
            process_group=0,
        )
        self._processes[number] = process
        logger.info("worker started", extra={"worker": number, "pid": process.pid})
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._processes[number]

    async def _rest(self, number: int, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            if self._sockets[number].fileno() < 0:
                self._sockets[number] = listen(self._host, self._port, shared=True)
