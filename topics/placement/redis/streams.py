"""Where a node stands in the events of a topic, and the holes in them. Pure.

Every event carries its topic's sequence number. A mark (attach.lua, mark.lua) says where a stream stands: the node that
reads its own mark knows that it is subscribed, and a number that is not the next one is a hole.
"""

import asyncio
import secrets
from dataclasses import dataclass, field

NO_EPOCH = "-"
"""Epoch of a topic that does not exist, in a mark."""


@dataclass(slots=True)
class Stream:
    """Where this node stands in the events of one topic.

    Attributes:
        epoch: Which life of the topic it counts in; None until the first mark.
        seq: The last number seen.
        following: The number that the last message should have had: the first that is missing if there is a hole.
        token: Of the mark that confirms it.
        confirmed: The mark has come: this node is subscribed.
        missed: Its connections must be told of a gap, once all nodes have registered: not before, as what is
            published until then is missed too; but before the first event from then on.
        due: A mark has come since then: events are no older than what was missed.
        since: Position of the last event that was kept when this node began to hear the topic; None until it does.
        last: Position of the topic's last event that came; 0 when none has.
    """

    epoch: str | None = None
    seq: int = 0
    following: int = 1
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    missed: bool = False
    due: bool = False
    since: int | None = None
    last: int = 0

    @property
    def epoch_wanted(self) -> bool:
        """Whether the next mark is needed: to hear that it is subscribed, or where the stream stands."""
        return self.epoch is None or not self.confirmed.is_set()

    def doubt(self) -> None:
        """Ask for a new mark."""
        self.token = secrets.token_hex(4)
        self.confirmed.clear()

    def begin(self, token: str, position: int) -> None:
        """Take the position in a mark: where this node begins to hear the topic, if it is the first of its own."""
        if self.since is None and token == self.token:
            self.since = position

    def advance(self, epoch: str, seq: int, token: str | None) -> int | None:
        """Take the number of a message.

        Args:
            epoch: Which life of the topic it counts in.
            seq: Of an event its own number, of a mark that of the last event before it.
            token: Of a mark; None for an event.

        Returns:
            How many events were missed before it, as its connections must be told: 0 for none, None when unknown.
        """
        own, is_event = token == self.token, token is None
        hole, missed, self.following = False, None, self.seq + 1
        is_due = is_event and self.due
        if epoch == NO_EPOCH:
            # The topic does not exist, or not yet: the mark says no more than that this node is subscribed.
            pass
        elif self.epoch is None:
            # Only its own mark begins a stream: other messages may be those of the topic's life before.
            is_due = is_event
            if own or (is_event and self.missed):
                self.epoch, self.seq = epoch, seq
        elif epoch != self.epoch:
            if not own and not is_event:
                return 0
            self.epoch, self.seq = epoch, seq
            hole, is_due = True, is_event
        else:
            missed = seq - self.seq - is_event
            self.seq = seq
            # Numbers that go back are those of a Redis that has forgotten some, and with them what they stood for.
            hole, missed = missed != 0, missed if missed > 0 else None
        if own:
            self.confirmed.set()
            self.due = True
        if self.missed and is_due:
            self.missed = False
            return None
        return missed if hole and (is_event or not self.missed) else 0
