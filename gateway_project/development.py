"""What makes a fresh clone start: a key for one run of `manage.py runserver`."""

import os
import secrets
import shlex

KEY_WAS_MADE = "SSE_GATEWAY_KEY_WAS_MADE"
"""Marks the environment: the autoreloader's child process must print the key that its parent made."""


def make_key_for_run() -> None:
    """Put a fresh API key into the environment, for this process and its children."""
    os.environ["GATEWAY_API_KEYS"] = secrets.token_urlsafe(24)
    os.environ[KEY_WAS_MADE] = "1"


def first_steps(url: str, key: str, *, made: bool) -> str:
    """Return what to tell a person at the start: lines to paste into a second terminal.

    Args:
        url: The gateway's, without a final slash.
        key: One API key.
        made: Whether the key is only for this run.
    """
    origin = "API key, made for this run (set GATEWAY_API_KEYS to keep one)" if made else "API key"
    # A key may hold what a shell reads as its own.
    authorization = shlex.quote(f"authorization: Bearer {key}")
    return "\n".join(
        (
            f"{origin}: {key}",
            "Subscribe:  " + f"curl -N -H 'x-sse-topic: news' {url}/sse",
            "Publish:    "
            + f"curl -H {authorization} -H 'x-sse-topic: news' -H 'x-sse-id: 1' -d 'Hello' {url}/publish",
            "Dashboard:  " + f"{url}/dashboard/",
        )
    )
