"""Where the gateway is, and the key that opens it."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gateway_project.client.exceptions import UsageError

DEFAULT_URL = "http://127.0.0.1:8000"
USER_AGENT = "gateway-command-line"


@dataclass(frozen=True)
class Gateway:
    """One gateway, as its clients see it.

    Args:
        url: scheme, host, port and, behind a proxy, the path that the gateway has there.
        key: an API key; None for what needs none. Never part of `repr()`.
    """

    url: str
    key: str | None = field(default=None, repr=False)

    def http(self, path: str) -> str:
        """The address of `path` (which begins with a slash)."""
        return self.url + path

    def websocket(self, path: str) -> str:
        """The same with `ws:` for `http:` and `wss:` for `https:` (RFC 6455 section 3)."""
        return "ws" + self.http(path).removeprefix("http")

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine. A proxy from the environment cannot reach it there."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the key (RFC 6750 section 2.1)."""
        return {} if self.key is None else {"authorization": f"Bearer {self.key}"}


def gateway_url(argument: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The gateway's address: `argument`, else `GATEWAY_URL`, else http://127.0.0.1:8000.

    Raises:
        UsageError: it is not an http or https address, or it carries a password.
    """
    url = argument or environment.get("GATEWAY_URL") or DEFAULT_URL
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _no_address(url) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise _no_address(url)
    if not url.isascii() or any(character.isspace() for character in url):
        raise _no_address(url)
    try:
        # What the resolver would do, and fail at with an error that is not one of the network.
        parts.hostname.encode("idna")
    except UnicodeError:
        raise _no_address(url) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError("The gateway's address must carry no name and no password: others on this machine can see it.")
    if parts.query or parts.fragment:
        raise UsageError("The gateway's address must have no query and no fragment: leave out ? or #.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _no_address(url: str) -> UsageError:
    return UsageError(f"{url!r} is not a gateway's address. Give one like {DEFAULT_URL}.")


def api_key(key_file: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The API key: the first line of `key_file`, else `GATEWAY_API_KEY`.

    There is no argument for the key itself: any user of a machine sees the arguments of its processes.

    Raises:
        UsageError: there is none, or it cannot be sent in a header.
    """
    if key_file is not None:
        try:
            lines = Path(key_file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The key file {key_file!r} cannot be read: {error}.") from error
        key, source = (lines[0] if lines else ""), f"The key file {key_file!r}"
    else:
        key, source = environment.get("GATEWAY_API_KEY", ""), "GATEWAY_API_KEY"
    key = key.strip()
    if not key and key_file is None:
        raise UsageError("No API key. Set GATEWAY_API_KEY, or name a file that holds the key with --key-file.")
    if not key:
        raise UsageError(f"{source} has no key in its first line.")
    if not all("!" <= character <= "~" for character in key):
        raise UsageError(f"{source} is no API key: a key has visible ASCII characters only, and no space.")
    return key


def header_value(name: str, value: str) -> str:
    """`value`, when a header can carry it unchanged (RFC 9110 section 5.5).

    Whether it means anything is the gateway's to say.

    Raises:
        UsageError: it has a character that cannot be sent.
    """
    if not all(" " <= character <= "~" for character in value):
        raise UsageError(f"The {name} {value!r} cannot be sent: only visible ASCII characters can.")
    if value != value.strip(" "):
        raise UsageError(f"The {name} {value!r} must not begin or end with a space.")
    return value


def topic_list(topics: list[str]) -> str:
    """The arguments of a command, each a topic or several separated by commas, as one topic list.

    Raises:
        UsageError: one of them cannot be sent in a header.
    """
    return ",".join(header_value("topic", topic) for topic in topics)
