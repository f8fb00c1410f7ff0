"""Bytes become requests: httptools' parser, with bounds on whatever would never end."""

import logging
from typing import Any, Protocol

import httptools

from gateway_project.servers import limits
from gateway_project.servers.uvicorn_deadline import Deadline
from gateway_project.servers.uvicorn_exchange import Exchange
from gateway_project.servers.uvicorn_head import TOO_LARGE, Refused, RequestHead, invalid
from topics.problems import INTERNAL, Problem

logger = logging.getLogger(__name__)


class Receiver(Protocol):
    """What a reader asks of the connection whose requests it reads. Each method may stop the reader."""

    def head_received(self, head: RequestHead, method: bytes, version: str, *, keep_alive: bool) -> Exchange | None:
        """Begin to answer a request; returns what takes its body, None when the reader was stopped.

        Raises:
            Refused: Its target is no URI.
        """

    def body_discarded(self) -> None:
        """The body of a request that was answered before has come to its end."""

    def websocket_requested(self, head: RequestHead, rest: bytes) -> None:
        """Hand the connection over; `rest` came behind the handshake."""

    def head_late(self) -> None:
        """The headers did not arrive in time."""

    def refuse(self, problem: Problem) -> None:
        """Answer a request that cannot be understood, and read no more."""


class RequestReader:
    """Reads the requests of one connection, one behind the other.

    Args:
        receiver: The connection.
        deadline: The connection's; this sets it while a head is incomplete.
        header_timeout: Seconds from a request's first byte to the end of its headers.

    Attributes:
        in_headers: A head has begun and is not complete.
        in_body: A body has not come to its end.
    """

    __slots__ = (
        "_begun",
        "_deadline",
        "_exchange",
        "_head",
        "_header_timeout",
        "_parser",
        "_progress",
        "_receiver",
        "_unfinished",
        "in_body",
        "in_headers",
    )

    def __init__(self, receiver: Receiver, deadline: Deadline, header_timeout: float) -> None:
        self._receiver = receiver
        self._deadline = deadline
        self._header_timeout = header_timeout
        self.in_headers = False
        self.in_body = False
        # None once nobody wants to know what comes.
        self._parser = self._new_parser()
        self._head: RequestHead
        # What takes the body; None while there is none to take.
        self._exchange: Exchange | None
        # Bytes that came without completing anything: an endless header, trailer or chunk extension.
        self._unfinished = 0
        # Of what is fed now: requests that began in it, and whether a head or a part of a body came to its end.
        self._begun: int
        self._progress: bool

    def expect(self) -> None:
        """Start the clock: the headers must arrive in time."""
        self._deadline.set(self._header_timeout, self._receiver.head_late)

    def feed(self, data: bytes) -> None:
        """Parse what came."""
        at_start = not (self.in_headers or self.in_body)
        self._begun = 0
        self._progress = False
        self._parse(data)
        if (self.in_headers or self.in_body) and self._parser is not None:
            if self._progress:
                self._unfinished = 0
            elif at_start or not self._begun:
                self._unfinished += len(data)
            if self._unfinished > limits.MAX_HEADER_BYTES:
                self._receiver.refuse(TOO_LARGE if self.in_headers else invalid("A chunk's framing has no end."))
            elif self.in_headers and not self._deadline.is_set:
                self.expect()

    def stop(self) -> None:
        """Tell the receiver nothing more, and let the parser go."""
        self._parser = self._exchange = None

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # What comes behind a request that said `connection: close` is dropped, not an error.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._parser is not None:
                self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._parser is not None:
                self._refuse(error)

    def _refuse(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refused):
            problem = cause.problem
        elif cause is not None:
            logger.error("The HTTP parser's callback failed", exc_info=cause)
            problem = INTERNAL
        else:
            problem = invalid(f"The request is not HTTP/1.1 as in RFC 9112: {error}.")
        self._receiver.refuse(problem)

    def _upgrade(self, rest: bytes) -> None:
        head, method, version = self._head, self._parser.get_method(), self._parser.get_http_version()
        websocket = any(name == b"upgrade" and value.lower() == b"websocket" for name, value in head.fields)
        if method == b"CONNECT":
            self._receiver.refuse(invalid("This is no proxy: CONNECT is not understood."))
        elif websocket and method == b"GET" and version == "1.1":
            self._receiver.websocket_requested(head, rest)
        else:
            # An upgrade that is not spoken here is to be ignored (RFC 9110 §7.8): Java's HttpClient offers h2c with
            # every first request. The parser insists on its own way, so it gets the request again without.
            again = [method, b" ", head.url, b" HTTP/", version.encode(), b"\r\n"]
            for name, value in head.fields:
                if name != b"upgrade":
                    again += [name, b": ", value, b"\r\n"]
            self._parser = self._new_parser()
            self._parse(b"".join([*again, b"\r\n"]) + rest)

    # Called by the parser

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._parser is None:
            return
        self._deadline.clear()
        self._begun += 1
        self.in_headers = True
        self._unfinished = 0
        self._head = RequestHead()
        self._exchange = None

    def on_url(self, url: bytes) -> None:
        """Gather a part of the request target."""
        if self._parser is not None:
            self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the header section, or of the trailers."""
        if self._parser is not None:
            self._head.add(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered on its headers; the body waits for the application."""
        if self._parser is None:
            return
        self._deadline.clear()
        self.in_headers = False
        parser, head = self._parser, self._head
        version = parser.get_http_version()
        method = parser.get_method()
        head.complete(method, version)
        if parser.should_upgrade():
            # It goes on where the parser says so.
            return
        keep_alive = version == "1.1" and parser.should_keep_alive()
        self._exchange = self._receiver.head_received(head, method, version, keep_alive=keep_alive)
        # Not before: a head may be refused there, and then the body is nobody's.
        self.in_body = self._progress = True

    def on_body(self, body: bytes) -> None:
        """Hand body bytes to the request that they belong to."""
        if self._exchange is not None:
            self._progress = True
            self._exchange.body_received(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        exchange = self._exchange
        if exchange is not None:
            self.in_body = False
            exchange.body_complete()
            if exchange.complete:
                self._receiver.body_discarded()
