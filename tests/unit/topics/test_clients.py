"""Whose connection it is: what a client writes about itself must not count."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from topics.clients import client_address
from topics.conf import Network

PROXIES: list[Network] = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        # Nobody in between: the header is the client's own word.
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),
        ("192.0.2.1", [], "192.0.2.1"),
        # One trusted proxy names its client; what stands left of that was sent by the client.
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"10.0.0.9, 203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"203.0.113.9", b"198.51.100.7"], "198.51.100.7"),
        # A chain of trusted proxies is followed to its begin.
        ("10.0.0.1", [b"198.51.100.7, 10.0.0.3,10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # Without the header the proxy itself is all that is known.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        # What is no address ends what can be believed.
        ("10.0.0.1", [b"198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"198.51.100.7, \xff\xfe"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, _hidden, "], "10.0.0.1"),
        # IPv6, in brackets and mapped (a socket that listens for both shows IPv4 peers so).
        ("2001:db8::1", [b"2001:4860::8888"], "2001:4860::8888"),
        ("2001:db8::1", [b"[2001:4860::8888]"], "2001:4860::8888"),
        ("2001:4860::1", [b"198.51.100.7"], "2001:4860::1"),
        ("::ffff:10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("::ffff:192.0.2.1", [b"198.51.100.7"], "::ffff:192.0.2.1"),
        # A UNIX socket has no address, and nothing says that it is a proxy.
        (None, [b"198.51.100.7"], ""),
        ("", [b"198.51.100.7"], ""),
        ("testclient", [b"198.51.100.7"], "testclient"),
    ],
)
def test_the_address_is_the_last_one_that_somebody_trusted_has_heard_from(
    peer: str | None, forwarded_for: list[bytes], address: str
) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == address


def test_without_trusted_proxies_the_header_counts_for_nothing() -> None:
    assert client_address("10.0.0.1", [b"198.51.100.7"], []) == "10.0.0.1"


@given(spoofed=st.lists(st.binary(max_size=40), max_size=5), client=st.ip_addresses())
@example(spoofed=[b"10.0.0.1"], client=ipaddress.ip_address("10.0.0.9"))
def test_nothing_that_a_client_sends_changes_its_address(
    spoofed: list[bytes], client: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    proxy = [ipaddress.ip_network("192.0.2.1/32")]
    if client in proxy[0] or getattr(client, "ipv4_mapped", None) == ipaddress.ip_address("192.0.2.1"):
        return
    # The proxy appends the address that it heard from, in a field of its own or to the last one.
    heard = str(client).encode()
    appended = [*spoofed[:-1], spoofed[-1] + b", " + heard] if spoofed else [heard]
    assert client_address("192.0.2.1", [*spoofed, heard], proxy) == str(client)
    assert client_address("192.0.2.1", appended, proxy) == str(client)


@given(st.none() | st.text(max_size=40), st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_never_raises(peer: str | None, forwarded_for: list[bytes]) -> None:
    everybody: list[Network] = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    assert isinstance(client_address(peer, forwarded_for, everybody), str)
    assert isinstance(client_address("10.0.0.1", forwarded_for, everybody), str)
