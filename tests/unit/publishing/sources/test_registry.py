"""What `GATEWAY_SOURCES` may name, and what it is told when it may not."""

import pytest

from publishing.sources import registry
from publishing.sources.base import Misconfigured
from topics.conf import GatewaySettings


def settings(**values: object) -> GatewaySettings:
    return GatewaySettings.model_validate({"api_keys": "k", **values})


def test_sources_are_made_in_the_order_of_their_names() -> None:
    made = registry.load(
        settings(sources="redis-streams, redis-pubsub", redis_url="redis://127.0.0.1", redis_streams_keys="a, b")
    )
    assert [source.name for source in made] == ["redis-streams", "redis-pubsub"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"sources": "redis-pubsub"}, "GATEWAY_REDIS_PUBSUB_URL"),
        ({"sources": "redis-streams", "redis_url": "redis://127.0.0.1"}, "GATEWAY_REDIS_STREAMS_KEYS"),
        ({"sources": "kafka"}, "redis-pubsub"),
        ({"sources": "no_such_module.Source"}, "no module"),
        ({"sources": "json.Missing"}, "has no"),
        ({"sources": "topics.version.VERSION"}, "not a source"),
        ({"sources": "redis-pubsub,publishing.sources.redis_pubsub.RedisPubSub", "redis_url": "redis://h"}, "two"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_sentence(values: dict[str, object], word: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        registry.load(settings(**values))
    assert word in caught.value.detail
    assert caught.value.detail.endswith(".")
