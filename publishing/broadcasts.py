"""Who may reach every connection."""

from collections.abc import Iterable

from topics.broadcast import TOPIC
from topics.exceptions import InvalidTopic


def check(topics: Iterable[str], *, allowed: bool) -> None:
    """Refuse a broadcast from a publisher unless the operator wants that.

    Args:
        topics: Where to.
        allowed: `GATEWAY_BROADCAST`.

    Raises:
        InvalidTopic: It is one.
    """
    if not allowed and TOPIC in topics:
        raise InvalidTopic(
            f"The topic {TOPIC} reaches every connection; only with GATEWAY_BROADCAST=true may it be used."
        )
