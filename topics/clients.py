"""Who a client is: its address, seen through the proxies that are trusted. Pure."""

import ipaddress
from collections.abc import Iterable, Sequence

from topics.conf import Network


def client_address(peer: str | None, forwarded_for: Iterable[bytes], trusted_proxies: Sequence[Network]) -> str:
    """Return the address that a connection is counted under.

    `x-forwarded-for` is read from the right, as each proxy appends who it heard from: everything left of the first
    address that is no trusted proxy could have been written by the client itself.

    Args:
        peer: Address of the socket's other end, None for a UNIX socket.
        forwarded_for: Values of `x-forwarded-for`, in order.
        trusted_proxies: Networks of the proxies whose word counts.

    Returns:
        An IP address as text, or the empty string when it is not known.
    """
    address = peer or ""
    if not trusted_proxies or not _is_trusted(address, trusted_proxies):
        return address
    hops = [hop.strip() for value in forwarded_for for hop in value.decode("latin-1").split(",")]
    for hop in reversed(hops):
        try:
            candidate = str(ipaddress.ip_address(hop.strip("[]")))
        except ValueError:
            # Not an address: what stands left of it cannot be believed either.
            return address
        address = candidate
        if not _is_trusted(address, trusted_proxies):
            break
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in trusted)
