"""What is counted of the sources, for Prometheus. Documented in docs/reference/metrics.md; a test compares."""

from prometheus_client import Counter, Gauge

from topics.metrics import REGISTRY

UP = Gauge("gateway_source_up", "1 while messages of the source can come to this node.", ["source"], registry=REGISTRY)
MESSAGES = Counter(
    "gateway_source_messages",
    "Messages of the source that this node has dealt with, by what became of them.",
    ["source", "outcome"],
    registry=REGISTRY,
)
RESTARTS = Counter(
    "gateway_source_restarts",
    "How often this node ran the source again after it failed.",
    ["source"],
    registry=REGISTRY,
)
