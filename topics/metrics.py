"""What the gateway counts, for Prometheus. Documented in docs/reference/metrics.md; a test compares."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
"""The registry that `/metrics` shows."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_LATENCIES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

NODE = Gauge(
    "gateway_node_info", "Always 1; the labels say which node answers.", ["node", "version"], registry=REGISTRY
)
CONNECTIONS = Gauge("gateway_connections", "Connections that this node holds.", ["transport"], registry=REGISTRY)
for _transport in ("sse", "websocket"):
    # None is 0 and not nothing: an autoscaler cannot tell a node without clients from one that it knows nothing of.
    CONNECTIONS.labels(_transport)
TOPICS = Gauge("gateway_topics", "Topics with a connection on this node.", registry=REGISTRY)
TAILS = Gauge("gateway_tails", "Administrators' tails that this node serves.", registry=REGISTRY)
OUTBOX_BYTES = Gauge(
    "gateway_outbox_bytes",
    "Bytes that wait for slow readers, in outboxes and in the server's buffers.",
    registry=REGISTRY,
)


class Totals(Collector):
    """What the hub counts by itself, read when it is asked for: nothing is counted twice for each event.

    Attributes:
        source: Returns the totals by name; the running hub's.
    """

    _MEANINGS: ClassVar[dict[str, str]] = {
        "published": "Events that this node accepted and routed.",
        "delivered": "Events handed to connections of this node.",
        "dropped": "Publishes dropped, their topics having no connection.",
    }

    def __init__(self) -> None:
        self.source: Callable[[], Mapping[str, int]] = dict

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield one counter for each total."""
        totals = self.source()
        for name, meaning in self._MEANINGS.items():
            yield CounterMetricFamily(f"gateway_{name}", meaning, value=totals.get(name, 0))


TOTALS = Totals()
REGISTRY.register(TOTALS)
GAPS = Counter("gateway_gaps", "Events that connections were told they missed.", ["reason"], registry=REGISTRY)
REFUSED = Counter("gateway_refused_connections", "Connections refused, by problem type.", ["reason"], registry=REGISTRY)
SLOW_DISCONNECTS = Counter(
    "gateway_slow_disconnects", "Connections closed because they read too slowly.", registry=REGISTRY
)
PUBLISH_SECONDS = Histogram(
    "gateway_publish_seconds",
    "Time from a publish's admission to its answer.",
    buckets=_LATENCIES,
    registry=REGISTRY,
)
DELIVERY_SECONDS = Histogram(
    "gateway_delivery_seconds",
    "Time from an event's acceptance to its last write on this node.",
    buckets=_LATENCIES,
    registry=REGISTRY,
)
LOOP_LAG_SECONDS = Gauge(
    "gateway_event_loop_lag_seconds",
    "How late the event loop ran its last clock tick.",
    registry=REGISTRY,
)
