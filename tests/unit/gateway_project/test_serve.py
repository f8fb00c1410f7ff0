"""`manage.py serve` on settings that nobody meant: a sentence and no server."""

import argparse

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from gateway_project.management.commands.serve import Command, _port
from topics.conf import load


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_wrong_settings_stop_the_start_with_their_sentences(settings: Settings, server: str) -> None:
    settings.GATEWAY, settings.GATEWAY_PROBLEMS = load({"GATEWAY_MAX_TOPIC": "1"})
    with pytest.raises(CommandError) as stopped:
        call_command("serve", server=server, port=0)
    first, second = sorted(str(stopped.value).splitlines())
    assert first == "GATEWAY_API_KEYS is not set; set it to one or more keys separated by commas."
    assert second.startswith("GATEWAY_MAX_TOPIC is not a setting of the gateway; did you mean GATEWAY_MAX_TOPICS?")


@pytest.mark.parametrize("port", ["-1", "65536", "http", "", "1.5"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        _port(port)
    with pytest.raises(CommandError, match="--port"):
        call_command("serve", f"--port={port}")


def test_a_server_that_is_not_known_is_refused() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'gunicorn'"):
        call_command("serve", "--server=gunicorn")


@pytest.mark.parametrize("workers", ["0", "-1", "257", "two", ""])
def test_a_number_of_workers_that_is_none_is_refused(workers: str) -> None:
    with pytest.raises(CommandError, match="--workers"):
        call_command("serve", f"--workers={workers}")


def test_workers_that_would_know_nothing_of_each_other_are_refused(settings: Settings) -> None:
    settings.GATEWAY, settings.GATEWAY_PROBLEMS = load({"GATEWAY_API_KEYS": "key"})
    with pytest.raises(CommandError, match="--workers 2 needs GATEWAY_REDIS_URL: without Redis"):
        call_command("serve", workers=2, port=0)
    settings.GATEWAY, _ = load({"GATEWAY_API_KEYS": "key", "GATEWAY_REDIS_URL": "redis://127.0.0.1"})
    with pytest.raises(CommandError, match="--workers and --fd exclude each other"):
        call_command("serve", workers=2, fd=0)


@pytest.mark.parametrize(("port", "expected"), [(None, 8080), ("", 8080), ("8123", 8123)])
def test_the_port_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, port: str | None, expected: int) -> None:
    if port is None:
        monkeypatch.delenv("PORT", raising=False)
    else:
        monkeypatch.setenv("PORT", port)
    assert Command().create_parser("manage.py", "serve").parse_args([]).port == expected
    assert Command().create_parser("manage.py", "serve").parse_args(["--port=1"]).port == 1
