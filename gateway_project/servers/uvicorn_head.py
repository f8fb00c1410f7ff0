"""What a request's header section must be before anybody else sees it (RFC 9112 §2 to §6). Pure."""

from functools import lru_cache
from urllib.parse import unquote

import httptools

from gateway_project.servers import limits
from topics.problems import Problem

TOO_LARGE = Problem(
    431,
    "header-too-large",
    f"The request line and headers are over {limits.MAX_HEADER_BYTES} bytes; send fewer or shorter ones.",
)

_SHORT = 64

Target = tuple[str, bytes, bytes]
"""Path decoded, path and query as they came."""


class Refused(Exception):
    """Raised where a request is found to be one that nothing but an error can answer.

    Attributes:
        problem: The answer.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def invalid(detail: str) -> Problem:
    """Return the answer to a request that breaks the protocol."""
    return Problem(400, "invalid-request", detail)


class RequestHead:
    """The head of one request as it is parsed.

    Attributes:
        url: The request target so far.
        fields: Names in lower case and values as they came, in order; trailers are not among them.
        content_length: The body's size in bytes, None when not given.
        chunked: The body comes in a transfer coding.
        expects_continue: The client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
    """

    __slots__ = ("_complete", "_size", "chunked", "content_length", "expects_continue", "fields", "url")

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.content_length: int | None = None
        self.chunked = False
        self.expects_continue = False
        self._size = 0
        self._complete = False

    def add(self, name: bytes, value: bytes) -> None:
        """Take a field; a trailer is counted and dropped.

        Raises:
            Refused: All fields together are over `MAX_HEADER_BYTES`, or there is a second content-length.
        """
        self._size += len(name) + len(value) + 4
        if self._size > limits.MAX_HEADER_BYTES:
            raise Refused(TOO_LARGE)
        if self._complete:
            return
        name = name.lower()
        self.fields.append((name, value))
        if name == b"content-length":
            if self.content_length is not None:
                raise Refused(invalid("content-length is given twice."))
            self.content_length = int(value)
        elif name == b"transfer-encoding":
            self.chunked = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expects_continue = True

    def complete(self, method: bytes, version: str) -> None:
        """Check the section as a whole; what `add` gets from now on are trailers.

        Args:
            method: As in the request line.
            version: `1.1`, say.

        Raises:
            Refused: It is too large, of another version, or leaves in doubt where the body ends.
        """
        if self._size + len(method) + len(self.url) + len(" HTTP/1.1\r\n\r\n ") > limits.MAX_HEADER_BYTES:
            raise Refused(TOO_LARGE)
        if version not in ("1.1", "1.0"):
            raise Refused(invalid("Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        if self.chunked and (version == "1.0" or self.content_length is not None):
            # Either is how a request is smuggled past a proxy (RFC 9112 §6.1).
            raise Refused(invalid("transfer-encoding may come neither with content-length nor in HTTP/1.0."))
        self._size = 0
        self._complete = True

    def target(self) -> Target:
        """Split the request target.

        Raises:
            Refused: It is no URI (RFC 3986).
        """
        # Publishers ask for one path again and again.
        return _known(self.url) if len(self.url) <= _SHORT else _split(self.url)


def _split(url: bytes) -> Target:
    try:
        parsed = httptools.parse_url(url)
        raw_path = parsed.path or b"/"
        url.decode("ascii")
        path = raw_path.decode("ascii")
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        raise Refused(invalid("The request target is malformed; percent-encode it (RFC 3986).")) from None
    return unquote(path) if "%" in path else path, raw_path, parsed.query or b""


_known = lru_cache(maxsize=64)(_split)
