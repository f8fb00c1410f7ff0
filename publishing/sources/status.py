"""How a source is, as `/ready` and the admin API show it."""

from dataclasses import dataclass
from typing import Literal

from publishing.sources.base import Guarantee, RunsOn

State = Literal["starting", "running", "standby", "failing", "ended"]
"""starting: not connected yet; standby: another node runs it; failing: waits for its next try; ended: no more comes."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source on one node.

    Attributes:
        since: When it came into this state, in seconds since the epoch.
        detail: Why it fails, None while it does not.
        published: Messages that became events.
        dropped: Messages whose topics had no connection.
        dead: Messages that are no events, or failed each time.
        restarts: How often it was run again after a failure.
    """

    name: str
    node: str
    guarantee: Guarantee
    runs_on: RunsOn
    state: State
    since: float
    detail: str | None
    published: int
    dropped: int
    dead: int
    restarts: int
