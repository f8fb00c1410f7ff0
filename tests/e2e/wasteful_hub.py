"""Makes the gateway waste: each event costs ten system calls and some hundred instructions more than it must."""

import os

from topics.events import Event
from topics.hub import Hub

_deliver = Hub.deliver


def deliver(self: Hub, event: Event) -> None:
    for _ in range(10):
        os.getppid()
    sum(number * number for number in range(500))
    _deliver(self, event)


Hub.deliver = deliver  # type: ignore[method-assign]
