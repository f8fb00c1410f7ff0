"""Which sources there are, and making those that `GATEWAY_SOURCES` names."""

import importlib
from collections.abc import Sequence

from publishing.sources.base import Misconfigured, Source
from topics.conf import GatewaySettings

BUILT_IN = {
    "eventstream": "publishing.sources.eventstream.EventStream",
    "gcp-pubsub": "publishing.sources.gcp_pubsub.GcpPubSub",
    "postgres": "publishing.sources.postgres.Postgres",
    "redis-pubsub": "publishing.sources.redis_pubsub.RedisPubSub",
    "redis-streams": "publishing.sources.redis_streams.RedisStreams",
}
"""Where each is; they are imported only when named, since some need packages of their own."""


def load(settings: GatewaySettings) -> Sequence[Source]:
    """Make the sources that the settings name, and have each check itself.

    Raises:
        Misconfigured: One cannot be run; the message says which.
    """
    sources: dict[str, Source] = {}
    for word in dict.fromkeys(settings.sources):
        source = _make(word, settings)
        if source.name in sources:
            raise Misconfigured(f"GATEWAY_SOURCES names two sources called {source.name!r}; rename one.")
        source.validate()
        sources[source.name] = source
    return tuple(sources.values())


def _make(word: str, settings: GatewaySettings) -> Source:
    path = BUILT_IN.get(word, word)
    module_name, _, class_name = path.rpartition(".")
    if not module_name:
        known = ", ".join(BUILT_IN)
        raise Misconfigured(
            f"GATEWAY_SOURCES names {word!a}, which is not a source; there are {known}, and module.Class for your own."
        )
    try:
        make = getattr(importlib.import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise Misconfigured(
                f"The source {word} needs the Python module {error.name}, which is not installed; "
                "install requirements-sources.txt."
            ) from None
        raise Misconfigured(f"GATEWAY_SOURCES names {word!a}, but there is no module {module_name!a}.") from None
    except AttributeError:
        raise Misconfigured(f"GATEWAY_SOURCES names {word!a}, but {module_name} has no {class_name!a}.") from None
    source = make(settings) if callable(make) else make
    if not isinstance(source, Source):
        raise Misconfigured(f"{word} is not a source: it must have name, guarantee, runs_on, validate, run and close.")
    return source
