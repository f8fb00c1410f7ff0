"""What a person who follows a page types, and what makes such a page wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.blocks import INTERRUPT, Block, Step
from tests.documents.reader import KEY, Reader


def steps(text: str) -> list[Step]:
    return list(Block("console", "", text, 1).steps)


def test_commands_outputs_and_control_c_are_told_apart() -> None:
    assert steps("$ one\nits output\nmore\n$ two \\\n    goes on\n^C\nafter\n") == [
        Step("one", "its output\nmore"),
        Step("two goes on", ""),
        Step(INTERRUPT, "after"),
    ]


def test_text_without_a_command_is_to_be_seen() -> None:
    assert steps("id: 1\n") == [Step("", "id: 1")]


@pytest.mark.parametrize(
    ("said", "seen", "fits"),
    [
        ("id: 1\ndata: a", "x\nid: 1\ndata: a\n", True),
        ("id: 1\ndata: a", "id: 1\nretry: 3\ndata: a\n", False),
        ("id: 1\n…\ndata: a", "id: 1\nretry: 3\ndata: a\n", True),
        ("id: 1\n…\ndata: a", "id: 1\ndata: a\n", True),
        ('{"id":"…","n":1}', '{"id":"abc","n":1}', True),
        ('{"id":"…","n":1}', '{"id":"abc",\n"n":1}', False),
        ("a.b", "axb", False),
    ],
)
def test_dots_stand_for_what_differs_each_time_and_for_nothing_else(said: str, seen: str, fits: bool) -> None:
    assert bool(Step("", said).pattern.search(seen)) is fits


def follow(page: str, tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(page, encoding="utf-8")
    reader = Reader(tmp_path)
    try:
        reader.follow(file)
    finally:
        reader.close()


def test_a_page_that_says_what_happens_is_right(tmp_path: Path) -> None:
    follow("```console\n$ export NAME=world\n$ echo hello $NAME; echo done\nhello world\ndone\n```\n", tmp_path)


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```console\n$ echo hello\ngood-bye\n```\n", "no 'good"),
        ("```console\n$ ls /not/there\n```\n", "ls /not/there: 2"),
        ("a\n\n```js\nfetch()\n```\n", "md:3: nobody runs 'js'"),
    ],
)
def test_a_page_that_says_something_else_is_wrong(
    page: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.documents.reader.SECONDS", 2.0)
    with pytest.raises(AssertionError, match=why):
        follow(page, tmp_path)


def test_ports_files_and_key_are_those_of_the_run(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.key = "secret"
    typed = reader.typed(
        f"curl -H 'x-api-key: {KEY}' http://127.0.0.1:8000/sse -o /tmp/x; serve --bind 0.0.0.0 --port 8000"
    )
    assert typed == typed.replace("8000", "")
    assert "x-api-key: secret" in typed
    assert f"-o {tmp_path}/x" in typed
    assert typed.count(typed.partition("127.0.0.1:")[2].partition("/")[0]) == 2
    assert "--bind 127.0.0.1 --port" in typed
