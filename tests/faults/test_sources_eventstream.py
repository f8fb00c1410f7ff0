"""The source `eventstream`: a Django application that calls django-eventstream's own `send_event`."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from tests.faults.conftest import Start
from tests.faults.test_sources_redis import runs
from tests.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

APPLICATION = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_eventstream"],
    EVENTSTREAM_REDIS={"host": "127.0.0.1", "port": int(sys.argv[1]), "db": 0},
)
import django
django.setup()
from django_eventstream import send_event
send_event("room 1,é", "message", {"text": "hello", "n": [1, 2.5, None]})
send_event("orders", "paid", "text", json_encode=False)
"""


async def test_what_an_application_sends_reaches_the_gateways_subscribers(start: Start) -> None:
    with RedisServer() as redis:
        node = await start(sources="eventstream", eventstream_url=redis.url)
        await runs(node, "eventstream")
        async with node.sse("room%201%2C%C3%A9") as room, node.sse("orders") as orders:
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", APPLICATION, str(redis.port)], check=True, timeout=60
            )
            event = await room.next_event()
            assert (event.event, event.data) == ("message", '{"text": "hello", "n": [1, 2.5, null]}')
            event = await orders.next_event()
            assert (event.event, event.data) == ("paid", "text")
            assert event.id
