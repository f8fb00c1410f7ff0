"""The code blocks of a Markdown page, as a person who follows the page reads them.

A fence names its language, and then the terminal that it is typed in, or nothing for the one where commands come and
go::

    ```console gateway
    $ make run
    API key, made for this run …: …
    ```

Lines that begin with ``$`` are typed, ``^C`` is Control-C, all others are what then is to be seen. In these ``…``
stands for anything within a line, and a line of its own for any lines. Of ``html``, the terminal is the browser's page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INTERRUPT = "^C"
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ELSEWHERE = "…"


@dataclass(frozen=True)
class Step:
    """One thing that a person does, and what is then to be seen."""

    typed: str
    """A command, `INTERRUPT`, or nothing."""
    output: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What is to be seen, as an expression."""
        lines = [
            r"(?:.*\n)*?" if line.strip() == _ELSEWHERE else ".*".join(map(re.escape, line.split(_ELSEWHERE))) + "\n"
            for line in self.output.splitlines()
        ]
        return re.compile("".join(lines).removesuffix("\n"))


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    terminal: str
    text: str
    line: int

    @property
    def steps(self) -> Iterator[Step]:
        """What is done in it, in its order."""
        typed, output = "", list[str]()
        lines = iter(self.text.splitlines())
        for line in lines:
            if line != INTERRUPT and not line.startswith("$ "):
                output.append(line)
                continue
            if typed or output:
                yield Step(typed, "\n".join(output))
            typed, output = line.removeprefix("$ "), []
            while typed.endswith("\\"):
                typed = typed[:-1] + next(lines).lstrip()
        yield Step(typed, "\n".join(output))


def read(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for found in _FENCE.finditer(text):
        language, _, terminal = found["info"].partition(" ")
        blocks.append(Block(language, terminal, found["text"], text.count("\n", 0, found.start()) + 1))
    return blocks
