"""Reading a request's body, bounded in size and time."""

import asyncio

from topics.asgi import Receive
from topics.exceptions import GatewayError
from topics.problems import Problem


class BodyRefused(GatewayError):
    """The body cannot be taken.

    Args:
        problem: What to answer.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class ClientGone(GatewayError):
    """The client left before its body was complete; there is nobody to answer."""


async def read_body(receive: Receive, *, limit: int, seconds: float) -> bytes:
    """Read a whole body.

    Args:
        receive: ASGI's.
        limit: Largest body, in bytes.
        seconds: Longest time for all of it.

    Raises:
        BodyRefused: Too large (413) or too slow (408).
        ClientGone: The client left.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise BodyRefused(Problem(413, "too-large", f"The body is over {limit} bytes; send a smaller one."))
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except TimeoutError:
        raise BodyRefused(
            Problem(408, "timeout", f"The body did not arrive within {seconds:g} seconds; send it again.")
        ) from None
