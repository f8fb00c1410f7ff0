"""A batch to many connections: what each of a node's deliveries costs, and so as little as can be."""

import logging
from collections.abc import Iterable

from topics.connection import Connection
from topics.encoding import Batch, Encoding

logger = logging.getLogger(__name__)


def deliver_all(connections: Iterable[Connection], batch: Batch) -> None:
    """Deliver a batch to many. This is what a delivery costs: keep it short.

    Where nothing waits, the socket is called from here. That nothing waits is the writer's to say: before it is
    opened, while anything is held, and from its end on, `direct` is None.
    """
    encoding: Encoding | None = None
    data = b""
    length = 0
    events = batch.size
    for connection in connections:
        try:
            send = connection.writer.direct
            if send is None:
                connection.deliver(batch)
                continue
            if connection.encoding is not encoding:
                data = batch.joined(connection.encoding)
                length = len(data)
                encoding = connection.encoding
            try:
                taken = send(data)
            except OSError:
                # Full, or gone: the writer finds out which.
                taken = 0
            if taken == length:
                connection.sent += events
            else:
                connection.deliver_rest(batch, data[taken:])
        except Exception:
            # Whatever state it is in: the others still get the event.
            logger.exception("delivery failed", extra={"connection": connection.id})
            _cut_off(connection)


def _cut_off(connection: Connection) -> None:
    try:
        connection.abort()
    except Exception:
        logger.exception("reset failed", extra={"connection": connection.id})
