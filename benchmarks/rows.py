"""What is measured: each row is one run of the generator and the figures taken from it."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a row.

    Attributes:
        title: In tables, with its unit.
        path: Where it is in the generator's report, keys separated by dots.
        scale: What it is multiplied by.
        more_is_better: True for rates.
        goals: By peer name: ("floor" | "nchan" | "", limit): the largest (for rates the smallest) ratio, or value.
    """

    title: str
    path: str
    scale: float = 1.0
    more_is_better: bool = False
    goals: dict[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)

    def of(self, report: dict[str, Any]) -> float | None:
        """Return the figure's value in a report, None when it is not there."""
        value: Any = report
        for key in self.path.split("."):
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return float(value) * self.scale


@dataclass(frozen=True, slots=True)
class Row:
    """One run.

    Attributes:
        name: On the command line and in results.
        title: In tables.
        settings: For the generator.
        figures: What is taken from its report.
        websocket: Whether subscribers are WebSockets.
    """

    name: str
    title: str
    settings: dict[str, Any]
    figures: tuple[Figure, ...]
    websocket: bool = False


def _both(*limits: tuple[str, float, float]) -> dict[str, tuple[tuple[str, float], ...]]:
    """Goals for Daphne and uvicorn: (to what, Daphne's limit, uvicorn's)."""
    return {
        "gateway-daphne": tuple((to, daphne) for to, daphne, _ in limits),
        "gateway-uvicorn": tuple((to, uvicorn) for to, _, uvicorn in limits),
    }


_PER_DELIVERY = "cpu_us_per_delivery"
_RATE = Figure("deliveries/s", "deliveries_per_second", more_is_better=True)
_FAN_OUT = _both(("floor", 1.35, 1.25), ("nchan", 0.90, 0.85))
_PUBLISHERS = 4

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            "fan-out-1000",
            "one event at a time, 1,000 SSE subscribers",
            {"mode": "deliver", "subscribers": 1000},
            (Figure("CPU µs per delivery", _PER_DELIVERY, goals=_FAN_OUT), _RATE),
        ),
        Row(
            "fan-out-5000",
            "one event at a time, 5,000 SSE subscribers",
            {"mode": "deliver", "subscribers": 5000},
            (Figure("CPU µs per delivery", _PER_DELIVERY, goals=_FAN_OUT), _RATE),
        ),
        Row(
            "window-1000",
            "16 publishers, 32 events in flight, 1,000 SSE subscribers",
            {"mode": "deliver", "subscribers": 1000, "publishers": 16, "window": 32},
            (
                Figure("CPU µs per delivery", _PER_DELIVERY, goals=_both(("nchan", 0.25, 0.12))),
                replace(_RATE, goals={"gateway-uvicorn": (("", 1e6),)}),
            ),
        ),
        Row(
            "websocket-1000",
            "one event at a time, 1,000 WebSockets",
            {"mode": "deliver", "subscribers": 1000},
            (Figure("CPU µs per delivery", _PER_DELIVERY, goals=_both(("nchan", 1.1, 1.0))), _RATE),
            websocket=True,
        ),
        # Eight at a time on topics of their own: nothing is joined, and the server does not fall asleep in between;
        # to wake up costs more than a publish on a virtual machine.
        Row(
            "single",
            "one publish, one subscriber, whole path; 8 publishers, each with a topic of its own",
            {"mode": "deliver", "subscribers": 8, "topics": 8, "publishers": 8, "window": 8},
            (Figure("CPU µs per event", "cpu_us_per_event", goals=_both(("", 130, 50))), _RATE),
        ),
        Row(
            "alone",
            "one publish at a time, one subscriber",
            {"mode": "deliver", "subscribers": 1},
            (
                Figure("publish to delivery, p50 µs", "delivery_us.p50"),
                Figure("CPU µs per event, waking up included", "cpu_us_per_event"),
            ),
        ),
        Row(
            "dropped-200",
            "dropped publish, 200 B",
            {"mode": "dropped", "publishers": _PUBLISHERS},
            (Figure("CPU µs per request", "cpu_us_per_request", goals=_both(("", 90, 40))),),
        ),
        Row(
            "dropped-1m",
            "dropped publish, 1 MiB",
            {"mode": "dropped", "publishers": _PUBLISHERS, "size": 1 << 20},
            (Figure("CPU µs per request", "cpu_us_per_request", goals=_both(("nchan", 0.45, 0.25))),),
        ),
        Row(
            "idle-5000",
            "5,000 clients connect at once and stay idle",
            {"mode": "idle", "subscribers": 5100, "opening": 0, "seconds": 2.0},
            (
                Figure("memory per connection, KiB", "bytes_per_connection", 1 / 1024, goals=_both(("", 16, 12))),
                Figure("accept, CPU µs per connection", "cpu_us_per_connection", goals=_both(("", 220, 150))),
                Figure("all open after, s", "open_seconds", goals=_both(("", 2.0, 1.5))),
            ),
        ),
        Row(
            "rate-1000",
            "50 events/s, 1,000 SSE subscribers",
            {"mode": "deliver", "subscribers": 1000, "rate": 50, "publishers": 4},
            (
                Figure("publish to delivery, p99 ms", "delivery_us.p99", 1e-3, goals=_both(("nchan", 1.0, 1.0))),
                Figure("p50 ms", "delivery_us.p50", 1e-3),
                Figure("publish answered, p50 ms", "publish_answer_us.p50", 1e-3),
            ),
        ),
        Row(
            "probe-5000",
            "another request while events fan out to 5,000",
            {"mode": "deliver", "subscribers": 5000, "probe": True},
            (
                Figure("p99 ms", "probe_us.p99", 1e-3, goals=_both(("", 15, 15))),
                Figure("p50 ms", "probe_us.p50", 1e-3),
            ),
        ),
    )
}
