"""Runs in the server that is counted: `python -m benchmarks.guard.inside REPORTS serve ...` is `manage.py serve ...`.

SIGUSR1 begins a count of the bytecode instructions that the main thread executes, and the next one ends it. Each signal
adds one line of JSON to the file REPORTS: what was counted, and the bytes that Python's objects take.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ALSO = "BENCH_GUARD_ALSO"
"""Names a module that is imported before the server runs: how a test makes a server that wastes."""


def count_on_signals(reports: Path) -> None:
    """Count between signals.

    Args:
        reports: The file that gets the lines.
    """
    executed = 0
    counting = False
    number = 0

    def begin(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return step

    def step(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        nonlocal executed
        if event == "opcode":
            executed += 1
        return step

    def toggle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal executed, counting, number
        sys.settrace(None)
        counting = not counting
        number += 1
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
        with reports.open("a") as file:
            file.write(json.dumps({"number": number, "instructions": executed, "bytes": held}) + "\n")
        executed = 0
        if counting:
            sys.settrace(begin)

    signal.signal(signal.SIGUSR1, toggle)


def main() -> None:
    """Run `manage.py` with the arguments that follow the file's name."""
    reports = Path(sys.argv[1])
    manage = Path(__file__).resolve().parents[2] / "manage.py"
    sys.argv = [str(manage), *sys.argv[2:]]
    count_on_signals(reports)
    if also := os.environ.get(ALSO):
        importlib.import_module(also)
    runpy.run_path(str(manage), run_name="__main__")


if __name__ == "__main__":
    main()
