"""What can be said of workers without starting any."""

import os
import socket
import subprocess
import sys

import pytest

from gateway_project.servers.listener import inherited, listen
from gateway_project.servers.workers import LONGEST_PAUSE_SECONDS, SUPERVISOR, pause_after


def test_a_worker_that_keeps_dying_is_given_more_and_more_time() -> None:
    pauses = [pause_after(failures) for failures in range(12)]
    assert pauses[:4] == [0, 0.25, 0.5, 1]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pause_after(10_000) == LONGEST_PAUSE_SECONDS


def test_a_listening_socket_is_inherited() -> None:
    with listen("127.0.0.1", 0) as listening, inherited(os.dup(listening.fileno())) as taken:
        assert taken.getsockname() == listening.getsockname()


def test_what_does_not_listen_is_refused() -> None:
    for other in (socket.socket(), socket.socket(socket.AF_UNIX)):
        descriptor = other.detach()
        with pytest.raises(SystemExit, match=f"--fd {descriptor} is not a listening TCP socket"):
            inherited(descriptor)
    reading, writing = os.pipe()
    try:
        with pytest.raises(SystemExit, match=f"--fd {reading} is not a socket"):
            inherited(reading)
    finally:
        os.close(reading)
        os.close(writing)


def test_only_those_who_share_listen_on_one_port() -> None:
    with listen("127.0.0.1", 0, shared=True) as first:
        port = first.getsockname()[1]
        listen("127.0.0.1", port, shared=True).close()
        with pytest.raises(SystemExit, match="Address already in use"):
            listen("127.0.0.1", port)


def test_a_worker_whose_supervisor_has_gone_ends() -> None:
    code = "import os; from gateway_project.servers.workers import end_with_supervisor; end_with_supervisor(os.environ)"
    for supervisor, status in ((str(os.getpid()), 0), ("1", 1)):
        environment = {**os.environ, SUPERVISOR: supervisor}
        assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == status
