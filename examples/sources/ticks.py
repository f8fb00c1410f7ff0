"""A message source that makes its own events: the time, once a second, to the topic `ticks`.

    GATEWAY_SOURCES=examples.sources.ticks.Ticks manage.py serve

TICKS_SECONDS sets another pace.
"""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn


class Ticks:
    """The clock as a source."""

    name = "ticks"
    guarantee: Guarantee = "at-most-once"
    # Several nodes would tick several times.
    runs_on: RunsOn = "one-node"

    def __init__(self, settings: Any) -> None:
        self._pace = os.environ.get("TICKS_SECONDS", "1")

    def validate(self) -> None:
        """Refuse a pace that is none."""
        try:
            usable = 0.01 <= float(self._pace) <= 3600
        except ValueError:
            usable = False
        if not usable:
            raise Misconfigured("TICKS_SECONDS must be a number of seconds from 0.01 to 3600.")

    async def run(self, publish: Publish) -> None:
        """Tick until cancelled."""
        publish.connected()
        while True:
            now = datetime.now(UTC)
            await publish(["ticks"], now.isoformat(timespec="milliseconds"), id=f"{now.timestamp():.6f}", event="tick")
            await asyncio.sleep(float(self._pace))

    async def close(self) -> None:
        """Hold nothing."""
