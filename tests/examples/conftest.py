"""The languages, each skipped with what it needs where that is missing."""

from __future__ import annotations

import contextlib

import pytest

from tests.examples.languages import ASKED_FOR, LANGUAGES, Language, NotRun, built


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: the time that a test has is not for compilers and package indexes."""
    needed = any({"language", "exchange"} & set(getattr(item, "fixturenames", ())) for item in session.items)
    if needed and not session.config.option.collectonly:
        for name in ASKED_FOR:
            print(f"Building the example in {name} ...", flush=True)
            # A failure is told by each test that needs the example.
            with contextlib.suppress(Exception):
                built(name)


def language_or_skip(name: str) -> Language:
    """The built example of a language; skips the test where its toolchain is missing."""
    try:
        return built(name)
    except NotRun as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    """Each language, one after the other."""
    return language_or_skip(request.param)


@pytest.fixture(params=["sse", "websocket"])
def websocket(request: pytest.FixtureRequest) -> bool:
    """Whether the subscriber takes a WebSocket: first not, then yes."""
    return bool(request.param == "websocket")
