"""The languages, each skipped with what it needs where that is missing."""

from __future__ import annotations

import pytest

from tests.examples.languages import LANGUAGES, Language, NotRun, built


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
