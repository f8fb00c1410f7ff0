"""What a request's header section must be before anybody else sees it (RFC 9112 §2 to §6). Pure."""

from urllib.parse import unquote

import httptools

from gateway_project.servers import limits
from topics.problems import Problem

TOO_LARGE = Problem(
    431,
    "header-too-large",
    f"The request line and headers are over {limits.MAX_HEADER_BYTES} bytes; send fewer or shorter ones.",
)


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
    """Counts and checks the fields of one request as they are parsed.

    Attributes:
        content_length: The body's size in bytes, None when not given.
        chunked: The body comes in a transfer coding.
    """

    __slots__ = ("_size", "chunked", "content_length")

    def __init__(self) -> None:
        self.content_length: int | None = None
        self.chunked = False
        self._size = 0

    def count(self, name: bytes, value: bytes) -> None:
        """Count a field, be it a trailer.

        Raises:
            Refused: All fields together are over `MAX_HEADER_BYTES`.
        """
        self._size += len(name) + len(value) + 4
        if self._size > limits.MAX_HEADER_BYTES:
            raise Refused(TOO_LARGE)

    def field(self, name: bytes, value: bytes) -> None:
        """Look at a field of the header section.

        Raises:
            Refused: There is a second content-length.
        """
        if name == b"content-length":
            if self.content_length is not None:
                raise Refused(invalid("content-length is given twice."))
            self.content_length = int(value)
        elif name == b"transfer-encoding":
            self.chunked = True

    def check(self, method: bytes, url: bytes, version: str) -> None:
        """Check the section as a whole.

        Args:
            method: As in the request line, as the following.
            url: The request target.
            version: `1.1`, say.

        Raises:
            Refused: It is too large, of another version, or leaves in doubt where the body ends.
        """
        if self._size + len(method) + len(url) + len(" HTTP/1.1\r\n\r\n ") > limits.MAX_HEADER_BYTES:
            raise Refused(TOO_LARGE)
        if version not in ("1.1", "1.0"):
            raise Refused(invalid("Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        if self.chunked and (version == "1.0" or self.content_length is not None):
            # Either is how a request is smuggled past a proxy (RFC 9112 §6.1).
            raise Refused(invalid("transfer-encoding may come neither with content-length nor in HTTP/1.0."))
        self._size = 0


def target(url: bytes) -> tuple[str, bytes, bytes]:
    """Split a request target into decoded path, path and query as they came.

    Raises:
        Refused: It is no URI (RFC 3986).
    """
    try:
        parsed = httptools.parse_url(url)
        raw_path = parsed.path or b"/"
        url.decode("ascii")
        path = raw_path.decode("ascii")
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        raise Refused(invalid("The request target is malformed; percent-encode it (RFC 3986).")) from None
    return unquote(path) if "%" in path else path, raw_path, parsed.query or b""
