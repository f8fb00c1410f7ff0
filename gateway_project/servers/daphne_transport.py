"""Twisted's TCP transport, used closer to the socket than its own `write` gets.

`write` of Twisted always waits for the event loop to call the socket writable: two calls into the kernel's poll
set for each write, a list and a join. Where nothing is pending the socket takes the bytes at once. The attributes
`dataBuffer`, `offset`, `_tempDataLen` and `producerPaused` are private to Twisted: `daphne.install` checks its
version before any of this is used.
"""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import contextlib
import fcntl
import socket
import sys
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway_project.servers.limits import LINGER_IDLE_SECONDS, LINGER_TOTAL_SECONDS
from topics.writer import Framing

_FLUSH_SECONDS = 60.0
# `tcpi_bytes_acked` in Linux' `struct tcp_info`.
_BYTES_ACKED = slice(120, 128)


def is_plain(transport: Any) -> bool:
    """Whether a transport is a TCP connection that nothing wraps, so that its socket may be written directly."""
    return type(transport) is Server and not transport.TLS


def pending_bytes(transport: Any) -> int:
    """Count the bytes that Twisted holds for a plain transport."""
    if not transport.connected:
        return 0
    return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)


def write(transport: Any, data: bytes) -> None:
    """Write through a transport: straight to the socket when nothing is pending there, else behind it."""
    if is_plain(transport) and transport.connected and not transport._tempDataLen and not transport.dataBuffer:
        try:
            sent = transport.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            transport.abortConnection()
            return
        if sent == len(data):
            return
        if sent:
            data = data[sent:]
    transport.write(data)


def watch_peer(transport: Any, heartbeat: float) -> None:
    """Have the kernel find a peer that is gone without a word (RFC 1122 §4.2.3.6, RFC 5482).

    Args:
        transport: The connection; anything but plain TCP is left as it is.
        heartbeat: Seconds between signs of life; twice that without an acknowledgement ends the connection.
    """
    if not is_plain(transport) or not transport.connected:
        return
    seconds = max(1, round(heartbeat))
    # A socket that was reset this moment refuses options, and platforms lack some: neither matters here.
    with contextlib.suppress(OSError, AttributeError):
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 3))
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2000 * heartbeat))


def acknowledged(transport: Any) -> tuple[int, bool]:
    """Look how far the peer has come with what was written, as Linux tells it.

    Returns:
        The bytes that it has acknowledged so far, and whether there are others; (0, False) where nobody knows.
    """
    if not is_plain(transport) or not transport.connected:
        return 0, False
    try:
        information = transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
        queued = fcntl.ioctl(transport.socket, termios.TIOCOUTQ, bytes(4))
    except (OSError, AttributeError):
        return 0, False
    waiting = pending_bytes(transport) or int.from_bytes(queued, sys.byteorder)
    return int.from_bytes(information[_BYTES_ACKED], sys.byteorder), waiting > 0


def linger(transport: Any, *, flush_seconds: float = _FLUSH_SECONDS) -> None:
    """Close a connection so that what was written last arrives although the peer still sends (RFC 9112 §9.6).

    Closing a socket that holds unread bytes resets it, and the reset may overtake the answer.

    Args:
        transport: The connection. Its protocol gets nothing but `connectionLost` from now on.
        flush_seconds: Time for the peer to take what is pending; the connection is reset after it.
    """
    if not transport.connected or isinstance(transport.protocol, LingeringClose):
        return
    # The peer of a TLS session gets its close alert from Twisted; half-closing below it would break the session.
    half_closes = isinstance(transport, FileDescriptor) and not getattr(transport, "TLS", False)
    if not half_closes:
        transport.unregisterProducer()
        transport.loseConnection()
        return
    protocol = transport.protocol
    transport.protocol = LingeringClose(transport, protocol, flush_seconds)


@implementer(IHalfCloseableProtocol)
class LingeringClose(Protocol):
    """What stands in for a connection's protocol between its last answer and its end."""

    def __init__(self, transport: Any, protocol: Any, flush_seconds: float) -> None:
        self._protocol = protocol
        self._reactor = transport.reactor
        self._idle: Any = None
        self.makeConnection(transport)
        transport.unregisterProducer()
        # A reset also follows when the peer takes the answer too slowly ...
        self._total = self._reactor.callLater(flush_seconds, transport.abortConnection)
        transport.loseWriteConnection()
        transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Discard, and wait for more."""
        if self._idle is not None:
            self._idle.reset(LINGER_IDLE_SECONDS)

    def writeConnectionLost(self) -> None:
        """Start the clock: all is in the kernel and our side is shut."""
        if self._total.active():
            # ... or goes on sending for too long; silence ends the connection without one.
            self._total.reset(LINGER_TOTAL_SECONDS)
        transport: Any = self.transport
        self._idle = self._reactor.callLater(LINGER_IDLE_SECONDS, transport.loseConnection)

    def readConnectionLost(self) -> None:
        """End: the peer is done too."""
        transport: Any = self.transport
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the protocol whose connection this was."""
        for call in (self._idle, self._total):
            if call is not None and call.active():
                call.cancel()
        protocol, self._protocol = self._protocol, None
        protocol.connectionLost(reason)


def _not_started(_data: bytes) -> int:
    raise RuntimeError("The writer was used before the response was started or the WebSocket accepted.")


def _behind(_data: bytes) -> int:
    raise BlockingIOError


class _EndedError(OSError):
    """Raised in the place of `socket.send` once a writer has ended."""


def _ended(_data: bytes) -> int:
    raise _EndedError


def _no_end(_code: int | None) -> None:
    """Stand in for the end of what has ended."""


class TransportWriter:
    """A `topics.writer.Writer` on a plain TCP transport.

    What a write does now is which function it calls: the socket's `send`, or one that says why not. To ask the
    transport each time whether it holds something cost more than all else here: its attributes are far apart in
    memory, and none of them is in the processor's cache when thousands of connections are written to in turn.

    Args:
        transport: A transport for which `is_plain` holds.
        framing: What the connection needs around each payload.
        end: Called with the close code when the writer is closed; it writes the end and closes the connection.
    """

    __slots__ = ("_end", "_ended", "_send", "_transport", "_waiting", "direct", "framing", "on_drain")

    def __init__(self, transport: Any, framing: Framing, end: Callable[[int | None], None]) -> None:
        self.framing = framing
        self.on_drain: Callable[[], None] | None = None
        self._transport = transport
        self._send: Callable[[bytes], int] = _not_started
        # The same while it is the socket's, else None.
        self.direct: Callable[[bytes], int] | None = None
        self._end = end
        self._ended = False
        self._waiting = False

    def start(self) -> None:
        """Allow writes: what comes before them has been written."""
        self._look()

    def others_wrote(self) -> None:
        """Take note that something else was written through the transport."""
        if self._send is not _not_started:
            self._look()

    def _look(self) -> None:
        transport = self._transport
        if self._ended or not transport.connected:
            return
        if transport._tempDataLen or transport.dataBuffer:
            self._send = _behind
            self.direct = None
            # Twisted calls its producer when the buffer is empty only if it paused it before.
            transport.producerPaused = True
        else:
            # The socket's own method: a file descriptor's number may be another client's by the time it is used.
            self._send = self.direct = transport.socket.send

    def stop(self) -> None:
        """Write nothing more: the end has been written, or the connection is lost."""
        self._ended = True
        self._send = _ended
        self.direct = None
        self.on_drain = None
        # Whom it belongs to holds it: without this, each would wait for the garbage collector with the other.
        self._end = _no_end

    @property
    def pending_bytes(self) -> int:
        """Bytes that Twisted holds for the socket."""
        return pending_bytes(self._transport)

    def write(self, data: bytes) -> bool:
        """Send at once what the socket takes; the rest waits in the transport and False is returned."""
        send = self._send
        try:
            sent = send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # Twisted loses the connection in the next turn, never inside the loop over all subscribers.
            if not self._ended:
                self._transport.abortConnection()
            return False
        if sent == len(data):
            return True
        self._transport.write(data[sent:] if sent else data)
        self._look()
        self._waiting = True
        return False

    def drained(self) -> None:
        """Pass on that the transport holds nothing any more."""
        self.others_wrote()
        if self._waiting:
            self._waiting = False
            if self.on_drain is not None:
                self.on_drain()

    def close(self, code: int | None = None) -> None:
        """Write the end behind what is held, then close the connection."""
        if not self._ended:
            end = self._end
            self.stop()
            end(code)

    def abort(self) -> None:
        """Reset the connection in the next turn."""
        self.stop()
        self._transport.abortConnection()
