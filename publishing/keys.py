"""The API keys: who may publish and administer."""

import hashlib
import hmac
from collections.abc import Sequence

HeaderValue = bytes | str | None
"""A header as ASGI gives it (bytes), as Django gives it (Latin-1 text), or None when it is missing."""


class Keys:
    """The keys that open the publishing and the admin API.

    Args:
        keys: The keys of `GATEWAY_API_KEYS`. Without one, nothing is allowed; an empty key opens nothing.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = tuple(_digest(key.encode("utf-8")) for key in keys if key)

    def allows(self, authorization: HeaderValue, x_api_key: HeaderValue) -> bool:
        """Tell whether either header carries a key.

        The time that it takes says nothing about the keys: every key is compared, whether one has matched or
        not, and digests of one length stand for keys of any length.

        Args:
            authorization: Value of `authorization`: `Bearer KEY` (RFC 6750 §2.1).
            x_api_key: Value of `x-api-key`: the key alone.
        """
        allowed = False
        for token in (_bearer(_octets(authorization)), _octets(x_api_key).strip(b" \t")):
            if not token:
                continue
            digest = _digest(token)
            for known in self._digests:
                allowed |= hmac.compare_digest(digest, known)
        return allowed


def _bearer(authorization: bytes) -> bytes:
    scheme, _, token = authorization.strip(b" \t").partition(b" ")
    # Schemes are compared without case (RFC 9110 §11.1).
    return token.strip(b" \t") if scheme.lower() == b"bearer" else b""


def _octets(value: HeaderValue) -> bytes:
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        # Not from a header field, which has no such characters: it is no key, but it must not raise either.
        return value.encode("utf-8", "surrogatepass")


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
