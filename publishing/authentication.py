"""Who may use the APIs that Django answers: the two ways to send a key, as django-ninja and OpenAPI know them."""

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyHeader
from ninja.security.http import HttpAuthBase

from publishing.keys import Keys


def allowed(request: HttpRequest) -> bool:
    """Tell whether a request carries one of `GATEWAY_API_KEYS`, in either header."""
    return _keys().allows(request.headers.get("authorization"), request.headers.get("x-api-key"))


class Bearer(HttpAuthBase):
    """`authorization: Bearer KEY` (RFC 6750 §2.1)."""

    openapi_scheme = "bearer"
    openapi_description = "One of `GATEWAY_API_KEYS`."

    async def __call__(self, request: HttpRequest) -> bool:
        """Check the header."""
        return _keys().allows(request.headers.get("authorization"), None)


class ApiKey(APIKeyHeader):
    """`x-api-key: KEY`."""

    param_name = "x-api-key"
    openapi_description = "One of `GATEWAY_API_KEYS`."

    async def authenticate(self, request: HttpRequest, key: str | None) -> bool:
        """Check the header's value."""
        return _keys().allows(None, key)


API_KEY = (Bearer(), ApiKey())
"""For the `auth` of a router: either header opens it."""


def _keys() -> Keys:
    return _keys_of(settings.GATEWAY.api_keys)


@lru_cache(maxsize=1)
def _keys_of(keys: tuple[str, ...]) -> Keys:
    return Keys(keys)
