"""Publishing from Python inside the gateway's own process."""

import asyncio

import pytest

from publishing import publish, publish_sync
from tests.django_api import Attach
from topics.exceptions import InvalidTopic
from topics.runtime import Runtime


async def test_a_coroutine_of_the_gateway_publishes(runtime: Runtime, attach: Attach) -> None:
    await attach("a")
    routed = await publish("a", "data", id="1")
    assert dict(routed.topics) == {"a": 1}
    assert not (await publish("nobody", "data")).topics
    with pytest.raises(InvalidTopic):
        await publish("a b", "data")


async def test_a_thread_of_the_gateway_publishes(runtime: Runtime, attach: Attach) -> None:
    await attach("a")
    routed = await asyncio.to_thread(publish_sync, ["a", "b"], "data", event="x", retry=5)
    assert dict(routed.topics) == {"a": 1}


async def test_the_gateways_own_loop_is_not_made_to_wait_for_itself(runtime: Runtime) -> None:
    with pytest.raises(RuntimeError, match="await publish"):
        publish_sync("a", "data")
