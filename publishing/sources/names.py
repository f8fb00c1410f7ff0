"""Topics and ids for what was named by other rules: the channels and users of older services."""

from topics.broadcast import TOPIC as BROADCAST
from topics.events import MAX_NAME_LENGTH

__all__ = ["BROADCAST", "channel_topic", "escape", "user_topic"]

_VISIBLE = frozenset(bytes(range(0x21, 0x7F))) - frozenset(b",%")


def channel_topic(channel: str) -> str:
    """Return the topic of a channel, whatever characters its id has."""
    return f"channel:{escape(channel)}"


def user_topic(user: str) -> str:
    """Return the topic of a user."""
    return f"user:{escape(user)}"


def escape(name: str) -> str:
    """Percent-encode what a topic or an id may not hold, and `%` itself, so that no two names become one.

    Args:
        name: Any text. What is too long stays too long.
    """
    # The rest is refused for its length anyway.
    data = name[: 4 * MAX_NAME_LENGTH].encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _VISIBLE else f"%{byte:02X}" for byte in data)
