"""What an answer that is not a success means."""

import email.utils
import http
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping

from gateway_project.client.exceptions import Refused, Unavailable

ASK_AGAIN = frozenset({408, 425, 429, 503})
"""Statuses that say: nothing was done, the same request is right later."""

HINTS = {
    401: "Check GATEWAY_API_KEY or the file of --key-file.",
    404: "Is this the gateway's address? Check --url or GATEWAY_URL.",
    405: "Is this the gateway's address? Check --url or GATEWAY_URL.",
}


def failure(
    status: int, headers: Mapping[str, str], body: bytes, *, server_errors_pass: bool = False
) -> Refused | Unavailable:
    """The exception for an HTTP answer that is not a success.

    Args:
        status: of the answer.
        headers: of the answer, found by lower-case name.
        body: of the answer; a problem of RFC 9457 gives the words, anything else is left out.
        server_errors_pass: whether every 5xx is a reason to try again, as it is for a subscription,
            which changes nothing on the server.
    """
    problem = _problem(headers.get("content-type", ""), body)
    title = _text(problem, "title").rstrip(".") or f"HTTP {status} {_phrase(status)}".rstrip()
    detail = _text(problem, "detail")
    if status in ASK_AGAIN or (server_errors_pass and status >= 500):
        sentence = f"{title}: {detail}" if detail else title
        return Unavailable(sentence, retry_after=retry_after(headers.get("retry-after", "")))
    if 300 <= status < 400:
        place = headers.get("location", "nowhere")
        detail = f"The address leads to {place}. If that is the gateway, give it with --url."
    elif hint := HINTS.get(status):
        detail = f"{detail} {hint}".strip()
    return Refused(title, detail, status=status, problem=problem or None)


def retry_after(value: str, now: float | None = None) -> float | None:
    """The seconds that a `retry-after` header asks for (RFC 9110 section 10.2.3); None when it says nothing.

    Args:
        value: seconds or a date.
        now: seconds since 1970; the clock's when left out.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - (time.time() if now is None else now))


def no_connection(url: str, error: BaseException) -> Refused | Unavailable:
    """The exception for a connection that could not be made.

    A certificate that is not trusted does not become so by trying again; all else may pass.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refused("The gateway's certificate is not trusted", f"{cause.verify_message}. The address is {url}.")
    return Unavailable(f"No connection to {url} ({_words(error)})")


def broken_connection(url: str, error: BaseException) -> Unavailable:
    """The exception for a connection that was there and failed."""
    return Unavailable(f"The connection to {url} broke ({_words(error)})")


def _words(error: BaseException) -> str:
    """What the operating system says, which libraries bury under words of their own; else those."""
    for cause in reversed(list(_causes(error))):
        if isinstance(cause, socket.gaierror):
            return str(cause.strerror).lower()
        if isinstance(cause, OSError) and cause.errno is not None:
            # Not the error's own words: asyncio writes the address there.
            return os.strerror(cause.errno).lower()
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__


def _problem(content_type: str, body: bytes) -> dict[str, object]:
    if content_type.partition(";")[0].strip().lower() != "application/problem+json":
        return {}
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _text(problem: dict[str, object], member: str) -> str:
    value = problem.get(member)
    return value if isinstance(value, str) else ""


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
