import argparse
import re
from pathlib import Path

import pytest
from django.core.management.base import BaseCommand

from gateway_project.management.commands import publish, subscribe, tail

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "command-line.md"
COMMANDS: dict[str, BaseCommand] = {
    "publish": publish.Command(),
    "subscribe": subscribe.Command(),
    "tail": tail.Command(),
}


def usages(parser: argparse.ArgumentParser) -> set[str]:
    """Each argument as its documentation writes it: `--url URL`, `--json`, `TOPIC`."""
    return {
        " ".join(filter(None, [*action.option_strings[-1:], "" if action.nargs == 0 else str(action.metavar)]))
        for action in parser._actions
    }


def own_usages(name: str) -> set[str]:
    """The arguments of the command without those that Django gives to every command."""
    return usages(COMMANDS[name].create_parser("manage.py", name)) - usages(
        BaseCommand().create_parser("manage.py", name)
    )


def documented_usages(name: str) -> set[str]:
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{name}\n")]
    return set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_is_documented_and_nothing_else(name: str) -> None:
    assert own_usages(name)
    assert documented_usages(name) == own_usages(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_argument_takes_the_key(name: str) -> None:
    assert not [usage for usage in own_usages(name) if "key" in usage.lower() and usage != "--key-file FILE"]


@pytest.mark.parametrize("name", COMMANDS)
def test_clients_need_no_settings_of_a_gateway(name: str) -> None:
    assert not COMMANDS[name].requires_system_checks
