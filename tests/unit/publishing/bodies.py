"""ASGI's two callables, played by the tests."""

from collections.abc import Iterable, Sequence
from typing import NoReturn

from topics.asgi import Message, Receive, Scope


def body(*chunks: bytes, complete: bool = True) -> Receive:
    """Return a `receive` that gives a body in these chunks; what is not complete ends with the client leaving."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if complete:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    messages.append({"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


async def unread() -> NoReturn:
    """A `receive` that nobody may call."""
    raise AssertionError("the body was read")


class Answer:
    """An ASGI `send` that keeps the one response that it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        assert [message["type"] for message in self.messages] == ["http.response.start", "http.response.body"]
        assert not self.messages[1].get("more_body", False)
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        names = [name for name, _ in self.messages[0]["headers"]]
        assert len(names) == len(set(names)), "a header is sent twice"
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        content: bytes = self.messages[1]["body"]
        declared = self.headers.get(b"content-length")
        assert declared is None or int(declared) == len(content)
        return content


def request(
    path: str, method: str = "POST", headers: Iterable[tuple[str, str]] | Sequence[tuple[bytes, bytes]] = ()
) -> Scope:
    """Return an HTTP scope."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name.encode() if isinstance(name, str) else name, value.encode() if isinstance(value, str) else value)
            for name, value in headers
        ],
        "client": ("192.0.2.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
