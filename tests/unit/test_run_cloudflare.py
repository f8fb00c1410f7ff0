"""The run against Cloudflare, without an account: it says what to set, runs nothing, and has not passed."""

from __future__ import annotations

import subprocess

import pytest

from tests import run_cloudflare


@pytest.mark.parametrize("given", [None, *run_cloudflare.ACCOUNT])
def test_without_an_account_it_names_what_is_missing_and_was_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str | None
) -> None:
    def started(*_arguments: object, **_more: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(subprocess, "run", started)
    for name in run_cloudflare.ACCOUNT:
        monkeypatch.delenv(name, raising=False)
    if given is not None:
        monkeypatch.setenv(given, "x")
    assert run_cloudflare.main([]) == run_cloudflare.NOT_RUN != 0
    said = capsys.readouterr().err
    assert said.startswith("not run: set ")
    for name in run_cloudflare.ACCOUNT:
        assert (name in said) == (name != given)
