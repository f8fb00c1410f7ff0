"""The page's part on tests: the last run of each target, earlier ones, and the summaries of long runs."""

from __future__ import annotations

import json
from typing import Any

from tests.reporting import kept
from tests.reporting.html import Markup, join, table, tag
from tests.reporting.summary import RESULTS, Summary


def render() -> Markup:
    """Write it."""
    runs = kept.merged(kept.read(), kept.local())
    last = {run["target"]: run for run in runs}
    return join(
        [
            tag("h2", "Tests", id="tests"),
            tag(
                "p",
                "The last run of each target. What was skipped has not passed: it was not run, for the reason given. "
                "Failures that are expected are listed by name where the target is described.",
            ),
            table(
                ("target", "date", "commit", "tests", "passed", "failed", "expected to fail", "not run", "seconds"),
                [_line(run) for _, run in sorted(last.items())],
            ),
            *[
                _details(run, [each for each in runs if each["target"] == target])
                for target, run in sorted(last.items())
            ],
            tag("h2", "Long runs", id="long-runs"),
            tag(
                "p",
                "What takes minutes or needs more than a test: faults, reconnecting crowds, a judge from elsewhere.",
            ),
            *[_long_run(file.stem, json.loads(file.read_text("utf-8"))) for file in sorted(RESULTS.glob("*.json"))],
        ]
    )


def _line(run: Summary) -> list[object]:
    skipped = sum(each["tests"] for each in run["not_run"])
    mark = tag("strong", f"{len(run['failed'])}", kind="worse") if run["failed"] else "0"
    head = [tag("a", run["target"], href=f"#{run['target']}"), run["date"][:10], run["commit"]]
    return [
        *head,
        f"{run['tests']:,}",
        f"{run['passed']:,}",
        mark,
        run["expected_failures"],
        skipped,
        f"{run['seconds']:,.0f}",
    ]


def _details(run: Summary, all_runs: list[Summary]) -> Markup:
    machine = run["machine"]
    parts: list[Markup] = [
        tag("p", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Linux {machine['kernel']}. "),
        tag("p", ", ".join(f"{name} {version}" for name, version in run["versions"].items())),
    ]
    if run["failed"]:
        parts.append(table(("failed", "why"), [(each["test"], each["why"]) for each in run["failed"]]))
    if run["not_run"]:
        parts.append(table(("not run", "why"), [(each["tests"], each["why"]) for each in run["not_run"]]))
    if len(all_runs) > 1:
        heads = ("target", "date", "commit", "tests", "passed", "failed", "expected to fail", "not run", "seconds")
        parts += [tag("h4", "All kept runs"), table(heads, [_line(each) for each in all_runs])]
    return tag("details", tag("summary", run["target"]), *parts, id=run["target"])


def _long_run(name: str, found: dict[str, Any]) -> Markup:
    """Show any summary: its plain values in one line, its mappings as tables."""
    plain = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    parts = [tag("p", ", ".join(f"{_words(key)}: {_shown(value)}" for key, value in plain.items()))]
    for key, value in found.items():
        if isinstance(value, dict) and value:
            parts += [tag("h4", _words(key)), _mapping(value)]
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            heads = list(dict.fromkeys(head for each in value for head in each))
            rows = [[_shown(each.get(head)) for head in heads] for each in value]
            parts += [tag("h4", _words(key)), table([_words(head) for head in heads], rows)]
        elif isinstance(value, list) and value:
            parts.append(tag("p", f"{_words(key)}: {_shown(value)}"))
    return tag("details", tag("summary", f"{_words(name)} · {str(found.get('date', ''))[:10]}"), *parts, id=name)


def _mapping(value: dict[str, Any]) -> Markup:
    if all(isinstance(each, dict) for each in value.values()):
        heads = list(dict.fromkeys(head for each in value.values() for head in each))
        rows = [[_words(key), *(_shown(each.get(head)) for head in heads)] for key, each in value.items()]
        return table(["", *(_words(head) for head in heads)], rows)
    return table(["", ""], [[_words(key), _shown(each)] for key, each in value.items()])


def _words(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value) if len(value) <= 12 else f"{len(value)} entries"
    return "" if value is None else str(value)
