"""What can go wrong between the command line and a gateway.

ClientError
├── UsageError      the command was called wrongly: nothing was sent
├── Refused         the gateway, or what answered in its place, will not change its mind
├── Unavailable     nothing happened; the same request is right later
├── Unanswered      a publish went out and no answer came back: nobody knows what happened
└── OutputFailed    what came cannot be printed
"""


class ClientError(Exception):
    """Base of everything that this package raises on purpose. `str()` is a sentence for people."""


class UsageError(ClientError):
    """The command was called wrongly; nothing was sent."""


class Refused(ClientError):
    """The request was answered, and asking again would bring the same answer.

    Args:
        title: what is wrong, in a few words.
        detail: what to do about it.
        status: the HTTP status; None when no HTTP answer was understood.
        problem: the whole answer, if it was `application/problem+json` (RFC 9457).
    """

    def __init__(
        self,
        title: str,
        detail: str = "",
        *,
        status: int | None = None,
        problem: dict[str, object] | None = None,
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.title = title
        self.detail = detail
        self.status = status
        self.problem = problem


class Unavailable(ClientError):
    """The gateway cannot be reached, or says that it cannot do it now.

    Args:
        detail: what happened.
        retry_after: seconds that the gateway asks to wait; None when it does not say.
    """

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unanswered(ClientError):
    """The request went out and its answer was lost."""


class OutputFailed(ClientError):
    """Standard output does not take any more: a full disk, a terminal that went away."""
