"""One HTTP connection under Daphne: Twisted's parser with bounds, problem details and an orderly end."""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import asyncio
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from gateway_project.servers.daphne_exchange import Exchange
from gateway_project.servers.daphne_head import Head, read_head
from gateway_project.servers.daphne_response import problem_response
from gateway_project.servers.daphne_scope import addresses
from gateway_project.servers.daphne_transport import linger, write
from gateway_project.servers.limits import LINGER_TOTAL_SECONDS, MAX_HEADER_BYTES, MAX_PIPELINED_BYTES
from topics.problems import Problem

_LARGEST_CHUNK = (1 << 63) - 1


class GatewayChannel(http.HTTPChannel):
    """Parses the requests of one connection, one after the other.

    Attributes:
        header_timeout: Seconds from the first byte of a request to the end of its headers; a byte a second does not
            move the deadline.
        loop: The event loop.
        client_addr: The scope's `client`.
        server_addr: The scope's `server`.
        closing: Whether nothing more is parsed.
    """

    totalHeadersSize = MAX_HEADER_BYTES
    MAX_LENGTH = MAX_HEADER_BYTES
    header_timeout = 10.0

    transport: Any
    timeOut: Any
    _path: Any
    _networkProducer: Any
    closing = False
    _upgraded = False
    _reading_paused = False
    _done_but_unread: Any = None
    _header_deadline: asyncio.TimerHandle | None = None
    _keep_alive_timeout: float | None = None
    _idle_deadline = 0.0
    _idle_timer: asyncio.TimerHandle | None = None

    def connectionMade(self) -> None:
        """Remember what does not change, or changes meanwhile."""
        self.loop = asyncio.get_running_loop()
        self._keep_alive_timeout = self.timeOut
        self._peer, self._host = self.transport.getPeer(), self.transport.getHost()
        self.client_addr, self.server_addr = addresses(self._peer, self._host)
        super().connectionMade()

    def getPeer(self) -> Any:
        """Return the client's address."""
        return self._peer

    def getHost(self) -> Any:
        """Return the server's address."""
        return self._host

    # Parsing

    def dataReceived(self, data: bytes) -> None:
        """Parse, and start the clock when a header section is left incomplete."""
        if self.closing:
            return
        if self.line_mode and self.persistent and not (self.requests or self._buffer or self._busyReceiving):
            found = read_head(data)
            if found is not None:
                self._exchange(found[0], data[found[1] :])
                return
        super().dataReceived(data)
        if self._in_headers():
            if self._header_deadline is None:
                self._header_deadline = self.loop.call_later(self.header_timeout, self._header_timed_out)
        elif self._header_deadline is not None:
            self._stop_header_deadline()

    def _exchange(self, head: Head, rest: bytes) -> None:
        """Begin an exchange, and go where Twisted's own parser is when it has seen a head.

        Args:
            head: Ordinary: its body has a known length.
            rest: What came behind it.
        """
        exchange = Exchange(self, head)
        self.requests.append(exchange)
        self.stop_idle_timeout()
        self.setRawMode()
        length = head.length or 0
        if len(rest) < length:
            self.length = length
            self._command, self._path, self._version = head.method, head.target, head.version
            self._transferDecoder = http._IdentityTransferDecoder(
                length, exchange.handleContentChunk, self._finishRequestBody
            )
            if rest:
                self.rawDataReceived(rest)
        else:
            self._handlingRequest = True
            if length:
                exchange.handleContentChunk(rest[:length])
                exchange.requestReceived()
            if len(rest) > length:
                self.rawDataReceived(rest[length:])
        exchange.start(head, at_once=True)

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the header section."""
        if self.closing:
            return
        if self._receivedHeaderSize + len(line) > MAX_HEADER_BYTES:
            self.lineLengthExceeded(line)
            return
        try:
            super().lineReceived(line)
        except ValueError:
            # A content-length of thousands of digits.
            self._respondToBadRequestAndDisconnect()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header section that is too large (RFC 6585 §5)."""
        detail = f"The request line and headers are limited to {MAX_HEADER_BYTES} bytes together."
        self.reject(Problem(431, "header-too-large", detail))

    def rawDataReceived(self, data: bytes) -> None:
        """Take a part of a body, or what comes behind a request that is being answered."""
        if self.closing:
            return
        if self._upgraded:
            # Frames that came in one packet with the handshake.
            wrapped = getattr(self.transport, "wrappedProtocol", None)
            (wrapped or self.transport.protocol).dataReceived(data)
            return
        if self._handlingRequest and self.requests and self.requests[0].streaming:
            # Nothing is answered behind a stream; reading on is how its end is noticed.
            return
        super().rawDataReceived(data)
        if self._handlingRequest and sum(map(len, self._dataBuffer)) > MAX_PIPELINED_BYTES:
            # Twisted goes on reading while it waits for the transport: a client that asks and reads no answer would
            # fill the memory.
            self._networkProducer.pauseProducing()
        # Twisted would wait for a chunk that no disk could hold (RFC 9112 §7.1).
        if getattr(self._transferDecoder, "length", 0) > _LARGEST_CHUNK:
            self._respondToBadRequestAndDisconnect()

    def _in_headers(self) -> bool:
        if not self.line_mode or self.closing:
            return False
        return bool(self._buffer) or bool(self.requests and not self.requests[-1].dispatched)

    def requestDone(self, request: Any) -> None:
        """Go on to the next request, or end."""
        self._savedTimeOut = self._keep_alive_timeout
        if self._waitingForTransport and self.persistent:
            # Nor is the next request answered before the client has taken what it was answered already.
            self._done_but_unread = request
            self.setTimeout(self._keep_alive_timeout)
            return
        self._reading_paused = False
        super().requestDone(request)

    # Reading, and not reading

    def pause_reading(self) -> None:
        """Leave the rest of the body in the kernel until the application wants it."""
        if not self._reading_paused:
            self._reading_paused = True
            self._networkProducer.pauseProducing()

    def resume_reading(self) -> None:
        """Read on."""
        if self._reading_paused and not self.closing:
            self._reading_paused = False
            self._networkProducer.resumeProducing()

    def read_behind_stream(self) -> None:
        """Discard what the client sends behind the request that a stream answers."""
        self._dataBuffer.clear()
        self._reading_paused = True
        self.resume_reading()

    def send_continue(self) -> None:
        """Ask for the body (RFC 9110 §15.2.1)."""
        write(self.transport, b"HTTP/1.1 100 Continue\r\n\r\n")

    def pauseProducing(self) -> None:
        """Hold back the application's response: the transport holds more than it should."""
        self._waitingForTransport = True
        if not self.requests:
            self._networkProducer.pauseProducing()

    def resumeProducing(self) -> None:
        """Let the response go on: the transport holds nothing any more."""
        self._waitingForTransport = False
        if self._done_but_unread is not None:
            request, self._done_but_unread = self._done_but_unread, None
            self.setTimeout(None)
            self.requestDone(request)
        elif self.requests:
            self.requests[0].resume_sending()
        else:
            self._networkProducer.resumeProducing()

    @property
    def write_blocked(self) -> bool:
        """Whether the transport holds more than it should."""
        return bool(self._waitingForTransport)

    # Time

    def stop_idle_timeout(self) -> None:
        """Leave time to the application from here to the end of the request."""
        self._stop_header_deadline()
        self._savedTimeOut = self._keep_alive_timeout
        self.setTimeout(None)

    def setTimeout(self, period: float | None) -> float | None:
        """Change the idle timeout; Twisted's own costs a timer more or less for every request.

        Args:
            period: Seconds, or None for as long as it takes.
        """
        before: float | None = self.timeOut
        self.timeOut = period
        if period is not None:
            self.resetTimeout()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_at(self._idle_deadline, self._idle)
        return before

    def resetTimeout(self) -> None:
        """Count the idle time from now on."""
        if self.timeOut is not None:
            self._idle_deadline = self.loop.time() + self.timeOut

    def _idle(self) -> None:
        self._idle_timer = None
        if self.timeOut is None:
            return
        if self.loop.time() < self._idle_deadline:
            self._idle_timer = self.loop.call_at(self._idle_deadline, self._idle)
        else:
            self.timeoutConnection()

    def _cancel_idle_timer(self) -> None:
        self.timeOut = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def limit_unread_body(self) -> None:
        """Close the connection if the rest of a body that nobody reads stalls."""
        self.setTimeout(LINGER_TOTAL_SECONDS)

    def timeoutConnection(self) -> None:
        """End a connection on which nothing has come for too long."""
        self.loseConnection()

    def _header_timed_out(self) -> None:
        self._header_deadline = None
        detail = f"The request line and headers must arrive within {self.header_timeout:g} s."
        self.reject(Problem(408, "timeout", detail))

    def _stop_header_deadline(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    # Ends

    def _respondToBadRequestAndDisconnect(self) -> None:
        # All that Twisted itself refuses comes here.
        if self._receivedHeaderCount > self.maxHeaders:
            detail = f"A request may have {self.maxHeaders} headers at most."
            self.reject(Problem(431, "header-too-large", detail))
            return
        where = "body" if self.requests and self.requests[-1].dispatched else "request line or a header"
        detail = f"The {where} is not valid HTTP/1.1 (RFC 9112)."
        self.reject(Problem(400, "invalid-request", detail))

    def reject(self, problem: Problem) -> None:
        """Answer the request that is being received with a problem, and close the connection.

        An application that has the request already learns that the client is gone.
        """
        if self.closing:
            return
        request = self.requests[-1] if self.requests else None
        if request is not None and request.dispatched:
            if request.response_complete:
                self.loseConnection()
                return
            if request.response_started:
                self.abort()
                return
            request.disconnect()
        write(self.transport, problem_response(problem))
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close the connection once what was written has arrived."""
        self.end()

    def end(self, flush_seconds: float | None = None) -> None:
        """Close the connection once what was written has arrived.

        Args:
            flush_seconds: Time for the peer to take it, None for the usual.
        """
        if self.closing:
            return
        self._stop()
        if flush_seconds is None:
            linger(self.transport)
        else:
            linger(self.transport, flush_seconds=flush_seconds)

    def abort(self) -> None:
        """Reset the connection."""
        self._stop()
        self.transport.abortConnection()

    def hand_over(self) -> None:
        """Leave the transport to another protocol."""
        self._stop_header_deadline()
        self._cancel_idle_timer()
        self._upgraded = True

    def _stop(self) -> None:
        self.closing = True
        self._stop_header_deadline()
        self._cancel_idle_timer()
        self._buffer = b""
        self._dataBuffer.clear()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the requests that their client is gone."""
        self.closing = True
        self._stop_header_deadline()
        self._cancel_idle_timer()
        if self._done_but_unread is not None:
            self.requests.remove(self._done_but_unread)
            self._done_but_unread = None
        super().connectionLost(reason)
        self.requests.clear()
