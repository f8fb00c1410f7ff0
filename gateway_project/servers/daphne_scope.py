"""What of a request goes into its ASGI scope, and what is refused because it cannot. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from daphne.utils import HEADER_NAME_RE, INVALID_HEADER_VALUE_BYTES
from twisted.web.http_headers import Headers

ASGI: Mapping[str, str] = MappingProxyType({"version": "3.0", "spec_version": "2.4"})
"""The scope's `asgi`."""


class BadRequestError(Exception):
    """Raised for a request that Twisted takes and ASGI has no way to say."""


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Split a request target into path and query (RFC 9112 §3.2).

    Raises:
        BadRequestError: It is none of a path, an absolute URI and `*`, or not ASCII.
    """
    if not target.isascii():
        raise BadRequestError("The request target is not ASCII; percent-encode it.")
    if target[:7].lower() == b"http://" or target[:8].lower() == b"https://":
        rest = target.split(b"//", 1)[1]
        slash, question = rest.find(b"/"), rest.find(b"?")
        if slash < 0 or 0 <= question < slash:
            target = b"/" + (rest[question:] if question >= 0 else b"")
        else:
            target = rest[slash:]
    elif not target.startswith(b"/") and target != b"*":
        raise BadRequestError("The request target is neither a path nor an absolute URI.")
    path, _, query = target.partition(b"?")
    return path, query


def check_headers(headers: Headers) -> None:
    """Check what Twisted's parser lets pass.

    Raises:
        BadRequestError: A name is no token, or a value holds a control character (RFC 9110 §5).
    """
    for name, values in headers.getAllRawHeaders():
        if not HEADER_NAME_RE.fullmatch(name):
            raise BadRequestError("The name of a header is malformed.")
        for value in values:
            if not INVALID_HEADER_VALUE_BYTES.isdisjoint(value):
                raise BadRequestError("The value of a header holds a control character.")


def scope_headers(headers: Headers, root_path: str) -> tuple[str, list[tuple[bytes, bytes]]]:
    """Return the root path and the headers of a scope.

    Args:
        headers: The request's.
        root_path: The server's, which Daphne lets the header `daphne-root-path` replace.
    """
    kept: list[tuple[bytes, bytes]] = []
    for name, values in headers.getAllRawHeaders():
        # A name with an underscore could pass for another in WSGI's environment (CVE-2015-0219).
        if b"_" in name:
            continue
        lower = name.lower()
        if lower == b"daphne-root-path":
            root_path = unquote(values[-1].decode("latin-1"))
        else:
            kept.extend((lower, value) for value in values)
    return root_path, kept


def addresses(client: Any, server: Any) -> tuple[list[Any] | None, list[Any] | None]:
    """Return the scope's `client` and `server`; both None where Twisted's addresses are no host and port."""
    if hasattr(client, "host") and hasattr(client, "port"):
        return [str(client.host), client.port], [str(server.host), server.port]
    return None, None
