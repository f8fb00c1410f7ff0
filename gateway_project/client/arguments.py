"""The arguments that the commands share."""

import argparse
import math
from collections.abc import Mapping
from typing import Any

from gateway_project.client.address import DEFAULT_URL, Gateway, api_key, gateway_url

SILENCE_SECONDS = 45.0
"""Three heartbeats of a gateway with default settings."""


def add_gateway(parser: argparse.ArgumentParser) -> None:
    """--url."""
    parser.add_argument(
        "--url", metavar="URL", help=f"the gateway's address (default: $GATEWAY_URL, else {DEFAULT_URL})"
    )


def add_key(parser: argparse.ArgumentParser) -> None:
    """--key-file."""
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="a file whose first line is the API key (default: $GATEWAY_API_KEY). The key itself is never an "
        "argument: every user of this machine could read it in the list of processes",
    )


def add_stream(parser: argparse.ArgumentParser) -> None:
    """--json, --count and --silence."""
    parser.add_argument("--json", action="store_true", help="print each event as one line of JSON")
    parser.add_argument("--count", metavar="N", type=positive_int, help="stop after N events")
    parser.add_argument(
        "--silence",
        metavar="SECONDS",
        type=positive_seconds,
        default=SILENCE_SECONDS,
        help="connect again after so long without a byte (default: %(default)g, which is three heartbeats)",
    )


def gateway_from(options: Mapping[str, Any], *, with_key: bool) -> Gateway:
    """The gateway that the parsed options name.

    Args:
        options: what the parser made of --url and --key-file.
        with_key: whether the command needs a key.

    Raises:
        UsageError: the address is none, or the key is missing.
    """
    return Gateway(gateway_url(options["url"]), api_key(options["key_file"]) if with_key else None)


def positive_int(text: str) -> int:
    """A whole number of at least 1. Raises: argparse.ArgumentTypeError."""
    if text.isascii() and text.isdigit() and int(text[:18]) > 0:
        return int(text[:18])
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def milliseconds(text: str) -> int:
    """A whole number of milliseconds; how many is the gateway's to judge."""
    if text.isascii() and text.isdigit():
        return int(text[:18])
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of milliseconds")


def positive_seconds(text: str) -> float:
    """Seconds, more than 0 and not endless. Raises: argparse.ArgumentTypeError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
