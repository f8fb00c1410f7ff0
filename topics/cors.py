"""Which origins' pages may use an endpoint (WHATWG Fetch §3.2, "CORS protocol"). Pure."""

from collections.abc import Sequence

Headers = list[tuple[bytes, bytes]]

_MAX_AGE_SECONDS = 7200
"""How long a browser may remember a preflight; Chromium keeps none longer."""


class Cors:
    """The rule for one group of endpoints.

    Args:
        origins: Origins as browsers send them; `*` is every origin. Empty: no other origin.
        methods: What a page may do.
        headers: Request headers that a page may set.
        expose: Response headers that a page may read.
    """

    def __init__(self, origins: Sequence[str], *, methods: str, headers: str, expose: str = "") -> None:
        self._every = "*" in origins
        self._origins = frozenset(origins)
        self._preflight: Headers = [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", headers.encode()),
            (b"access-control-max-age", str(_MAX_AGE_SECONDS).encode()),
        ]
        self._expose: Headers = [(b"access-control-expose-headers", expose.encode())] if expose else []

    def allows(self, origin: bytes | None) -> bool:
        """Tell whether a page of this origin may; a request without an origin is no page's."""
        return origin is None or self._every or origin.decode("latin-1") in self._origins

    def response(self, origin: bytes | None) -> Headers:
        """Return the headers that any response to `origin` needs."""
        if self._every:
            return [(b"access-control-allow-origin", b"*"), *self._expose]
        # The answer depends on who asks, whether or not it is allowed: caches must know.
        vary: Headers = [(b"vary", b"origin")] if self._origins else []
        if origin is not None and self.allows(origin):
            return [(b"access-control-allow-origin", origin), *vary, *self._expose]
        return vary

    def preflight(self, origin: bytes | None) -> Headers:
        """Return the headers of the answer to a preflight; without the permission when there is none."""
        if origin is not None and self.allows(origin):
            return [*self.response(origin), *self._preflight]
        return self.response(origin)
