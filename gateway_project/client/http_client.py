"""The one way in which this package makes an HTTP client."""

import httpx

from gateway_project.client.address import USER_AGENT, Gateway
from gateway_project.client.exceptions import UsageError

CONNECT_SECONDS = 10.0


def http_client(gateway: Gateway, read_seconds: float) -> httpx.AsyncClient:
    """A client that follows no redirect: the key goes to nobody else.

    Args:
        gateway: whom it will talk to.
        read_seconds: without a single byte for so long, a read fails.

    Raises:
        UsageError: the environment names a proxy or certificates that cannot be used.
    """
    try:
        return httpx.AsyncClient(
            timeout=httpx.Timeout(read_seconds, connect=min(CONNECT_SECONDS, read_seconds)),
            # The environment's certificates hold everywhere; its proxy, as in curl, but not on the way to
            # this very machine, which a proxy elsewhere cannot reach.
            verify=httpx.create_ssl_context(),
            trust_env=not gateway.is_local,
            # A compressing proxy would hold back events until it has a block full.
            headers={"user-agent": USER_AGENT, "accept-encoding": "identity"},
        )
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(f"The proxy or the certificates that the environment names cannot be used: {error}") from error
