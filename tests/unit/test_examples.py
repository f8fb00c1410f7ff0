"""What the examples promise to who reads them: each program is short, and their lock files name no address."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LONGEST = 120
PROGRAMS = sorted(
    file
    for pattern in ("typescript/*.ts", "python/*.py", "go/*/*.go", "rust/src/**/*.rs")
    for file in EXAMPLES.glob(pattern)
)
LOCKS = sorted(
    file for name in ("package-lock.json", "requirements.txt", "go.sum") for file in EXAMPLES.glob(f"*/{name}")
)


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_a_program_can_be_read_in_a_minute(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("language", ["typescript", "python", "go", "rust"])
def test_each_language_has_a_publisher_and_a_subscriber(language: str) -> None:
    roles = {
        role
        for file in PROGRAMS
        if file.is_relative_to(EXAMPLES / language)
        for role in ("publish", "subscribe")
        if role in str(file.relative_to(EXAMPLES))
    }
    assert roles == {"publish", "subscribe"}


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_a_lock_file_says_what_and_not_from_where(file: Path) -> None:
    text = file.read_text("utf-8")
    for word in ('"resolved"', "--index-url", "--find-links", "registry."):
        assert word not in text
