"""The listening socket, where the gateway and not its server makes or inherits it."""

import os
import socket
import sys

from gateway_project.servers import limits


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Listen on an address.

    Args:
        host: Address or name.
        port: TCP port; 0 takes a free one.
        shared: Others of this user may listen on it too, and the kernel spreads connections over them (SO_REUSEPORT).

    Raises:
        SystemExit: It cannot be listened on; the message says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=limits.LISTEN_BACKLOG, reuse_port=shared)
    except OSError as error:
        # create_server adds the address to strerror; gaierror has numbers of its own.
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        sys.exit(f"Cannot listen on {host}:{port}: {why}")


def inherited(descriptor: int) -> socket.socket:
    """Take a listening TCP socket that this process was started with.

    Raises:
        SystemExit: The file descriptor is none.
    """
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        sys.exit(f"--fd {descriptor} is not a socket: {os.strerror(error.errno or 0)}")
    if found.family not in (socket.AF_INET, socket.AF_INET6) or not found.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        found.close()
        sys.exit(f"--fd {descriptor} is not a listening TCP socket.")
    return found
