import errno
import socket
import ssl

import pytest

from gateway_project.client.exceptions import Refused, Unavailable
from gateway_project.client.problems import broken_connection, failure, no_connection, retry_after

PROBLEM = {"content-type": "application/problem+json; charset=utf-8"}


def test_a_problem_gives_its_words_and_what_to_do() -> None:
    error = failure(401, PROBLEM, b'{"title":"Unauthorized","detail":"The key is unknown.","status":401}')
    assert isinstance(error, Refused)
    assert str(error) == ("Unauthorized: The key is unknown. Check GATEWAY_API_KEY or the file of --key-file.")
    assert error.status == 401
    assert error.problem == {"title": "Unauthorized", "detail": "The key is unknown.", "status": 401}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b'{"title":"no"}'),
        ({"content-type": "text/html"}, b"<html>"),
        (PROBLEM, b""),
        (PROBLEM, b"{"),
        (PROBLEM, b'["title"]'),
        (PROBLEM, b'{"title":7,"detail":null}'),
        (PROBLEM, b"\xff"),
    ],
)
def test_any_other_body_leaves_the_status(headers: dict[str, str], body: bytes) -> None:
    error = failure(400, headers, body)
    assert isinstance(error, Refused)
    assert error.title == "HTTP 400 Bad Request"


def test_a_status_without_a_name() -> None:
    assert str(failure(499, {}, b"")) == "HTTP 499"


@pytest.mark.parametrize("status", [408, 429, 503])
def test_what_may_work_later(status: int) -> None:
    error = failure(status, {"retry-after": "7"}, b"")
    assert isinstance(error, Unavailable)
    assert error.retry_after == 7


@pytest.mark.parametrize("status", [500, 502, 504])
def test_server_errors_pass_for_those_who_change_nothing(status: int) -> None:
    assert isinstance(failure(status, {}, b""), Refused)
    assert isinstance(failure(status, {}, b"", server_errors_pass=True), Unavailable)


def test_a_redirection_is_told_and_not_followed() -> None:
    error = failure(308, {"location": "https://example.org/"}, b"")
    assert isinstance(error, Refused)
    assert "https://example.org/" in error.detail


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Sat, 21 Nov 2026 08:00:10 GMT", 10),
        ("Sat, 21 Nov 2026 07:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Sat, 99 Nov 2026 08:00:10 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    eight_o_clock = 1795248000.0
    assert retry_after(value, eight_o_clock) == seconds


def test_the_operating_system_words_are_found_under_those_of_libraries() -> None:
    buried = OSError("All connection attempts failed")
    buried.__cause__ = ExceptionGroup(
        "several", [ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)")]
    )
    error = no_connection("http://host", buried)
    assert isinstance(error, Unavailable)
    assert str(error) == "No connection to http://host (connection refused)"


def test_a_name_that_nobody_knows() -> None:
    error = no_connection("http://nowhere", socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert str(error) == "No connection to http://nowhere (name or service not known)"


def test_without_them_the_library_words_remain() -> None:
    assert str(broken_connection("http://host", EOFError("incomplete"))).endswith("broke (incomplete)")
    assert str(broken_connection("http://host", EOFError())).endswith("broke (EOFError)")


def test_a_certificate_that_is_not_trusted_stays_so() -> None:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    outer = OSError("connect")
    outer.__cause__ = cause
    error = no_connection("https://host", outer)
    assert isinstance(error, Refused)
    assert "self-signed certificate" in str(error)


def test_causes_that_go_in_a_circle_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "first" in str(broken_connection("http://host", first))
