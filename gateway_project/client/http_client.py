"""The one way in which this package makes an HTTP client."""

import httpx

from gateway_project.client.address import USER_AGENT, Gateway

CONNECT_SECONDS = 10.0


def http_client(gateway: Gateway, read_seconds: float) -> httpx.AsyncClient:
    """A client that follows no redirect: the key goes to nobody else.

    Args:
        gateway: whom it will talk to.
        read_seconds: without a single byte for so long, a read fails.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(read_seconds, connect=min(CONNECT_SECONDS, read_seconds)),
        # The environment's proxy is kept, as curl does, but not on the way to this very machine.
        mounts={"http://": None, "https://": None, "all://": None} if gateway.is_local else None,
        # A compressing proxy would hold back events until it has a block full.
        headers={"user-agent": USER_AGENT, "accept-encoding": "identity"},
    )
