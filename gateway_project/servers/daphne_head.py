"""What a request says before its body, and a parser for heads that hold nothing unusual (RFC 9112 §2 to §6). Pure."""

import re
from dataclasses import dataclass

from gateway_project.servers.limits import MAX_HEADER_BYTES

_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1\r\n")
# A token (RFC 9110 §5.6.2); an underscore could pass for another name in WSGI's environment (CVE-2015-0219).
_NAME = re.compile(rb"[-!#$%&'*+.^`|~0-9A-Za-z]+")
# Control characters but the tab, and what Daphne forbids besides. CR and LF may only end lines.
_SUSPECT = bytes({*range(0x20), 0x7F, 0x85} - {0x09})
# Each of these changes more than what the application sees.
_UNUSUAL = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
_MAX_LENGTH_DIGITS = 15
_MAX_FIELDS = 100
_MAX_NAMES = 1024

_names: dict[bytes, bytes] = {}


@dataclass(slots=True)
class Head:
    """A request's head.

    Attributes:
        method: As sent.
        target: The request target as sent.
        path: Of the target, still percent-encoded.
        query: Of the target.
        version: `HTTP/1.1` or `HTTP/1.0`.
        headers: Names in lower case, in order.
        length: Bytes of the body, None when it is chunked.
        expects_continue: Whether the client waits for 100 before it sends its body.
    """

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    length: int | None
    expects_continue: bool = False


def read_head(data: bytes) -> tuple[Head, int] | None:
    """Parse the head at the beginning of what was received.

    Args:
        data: The first bytes of a request.

    Returns:
        The head and where the body begins. None when the head is incomplete or anything about it is not as in nearly
        all requests: whether it can be taken, and what follows from it, is for a parser that knows every case.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEADER_BYTES)
    if end < 0:
        return None
    line = _REQUEST_LINE.match(data)
    if line is None:
        return None
    method, target = line.groups()
    block = data[line.end() : end]
    fields = block.split(b"\r\n")
    if len(fields) > _MAX_FIELDS or len(block.translate(None, _SUSPECT)) + 2 * (len(fields) - 1) != len(block):
        return None
    headers: list[tuple[bytes, bytes]] = []
    length: int | None = None
    for field in fields:
        raw_name, colon, value = field.partition(b":")
        name = _names.get(raw_name) or _learn(raw_name)
        if not name or not colon:
            return None
        value = value.strip(b" \t")
        if name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
                return None
            length = int(value)
        elif name == b"connection" and value.lower() != b"keep-alive":
            return None
        headers.append((name, value))
    path, _, query = target.partition(b"?")
    return Head(method, target, path, query, b"HTTP/1.1", headers, length or 0), end + 4


def _learn(raw_name: bytes) -> bytes:
    """Return a header's name in lower case, empty when it is none or an unusual one."""
    name = raw_name.lower()
    if name in _UNUSUAL or not _NAME.fullmatch(name):
        return b""
    if len(_names) < _MAX_NAMES:
        _names[raw_name] = name
    return name
