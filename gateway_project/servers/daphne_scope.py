"""What of a request goes into its ASGI scope, and what is refused because it cannot. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from daphne.utils import INVALID_HEADER_VALUE_BYTES
from twisted.web.http_headers import Headers

ASGI: Mapping[str, str] = MappingProxyType({"version": "3.0", "spec_version": "2.4"})
"""The scope's `asgi`."""

_FORBIDDEN = bytes(INVALID_HEADER_VALUE_BYTES)


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


def scope_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of a scope.

    Unlike Daphne, the header `daphne-root-path` is one as any other: here it comes from anybody, and a root path
    moves what a path means.

    Raises:
        BadRequestError: A value holds a control character that Twisted lets pass (RFC 9110 §5.5).
    """
    kept: list[tuple[bytes, bytes]] = []
    for name, values in headers.getAllRawHeaders():
        # A name with an underscore could pass for another in WSGI's environment (CVE-2015-0219).
        if b"_" in name:
            continue
        lower = name.lower()
        for value in values:
            if len(value.translate(None, _FORBIDDEN)) != len(value):
                raise BadRequestError("The value of a header holds a control character.")
            kept.append((lower, value))
    return kept


def addresses(client: Any, server: Any) -> tuple[list[Any] | None, list[Any] | None]:
    """Return the scope's `client` and `server`; both None where Twisted's addresses are no host and port."""
    if hasattr(client, "host") and hasattr(client, "port"):
        return [str(client.host), client.port], [str(server.host), server.port]
    return None, None
