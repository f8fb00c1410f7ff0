"""`manage.py publish`: publish one event to a running gateway."""

import asyncio
import contextlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandParser

from gateway_project.client.address import header_value, topic_list
from gateway_project.client.arguments import (
    add_gateway,
    add_key,
    gateway_from,
    milliseconds,
    positive_seconds,
)
from gateway_project.client.backoff import Backoff
from gateway_project.client.exceptions import Refused, UsageError
from gateway_project.client.identifiers import fresh_id
from gateway_project.client.output import Output, tell
from gateway_project.client.publish import Dropped, Publication, outcome_object, outcome_text, publish
from gateway_project.client.stopping import SUCCESS, exit_code
from gateway_project.client.terminal import one_line_json, printable

DROPPED = 3
MAX_DATA_BYTES = 64 * 1024 * 1024
"""What is read into memory at most. A gateway's own limit is far below."""


class Command(BaseCommand):
    """A publisher that a person or a script can use."""

    help = "Publish one event to a running gateway, and say who got it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The arguments of docs/reference/command-line.md."""
        parser.add_argument("topics", metavar="TOPIC", help="a topic, or several separated by commas")
        parser.add_argument("data", metavar="DATA", nargs="?", help="the event's data; - for standard input")
        parser.add_argument("--file", metavar="FILE", help="take the data from a file, as it is")
        parser.add_argument("--id", metavar="ID", help="the event's id (default: a new version 7 UUID)")
        parser.add_argument("--event", metavar="TYPE", help="the event type (default: message)")
        parser.add_argument(
            "--retry",
            metavar="MS",
            type=milliseconds,
            help="tell subscribers to wait so many milliseconds before they connect again",
        )
        add_gateway(parser)
        add_key(parser)
        parser.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=positive_seconds,
            default=30.0,
            help="keep trying for so long while the gateway is away or busy (default: %(default)g)",
        )
        parser.add_argument("--fail-if-dropped", action="store_true", help="exit with 3 when nobody is connected")
        parser.add_argument("--json", action="store_true", help="print the gateway's answer as one line of JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Publish; exits with the code that docs/reference/command-line.md gives."""
        code = exit_code(partial(self._publish, options))
        if code:
            sys.exit(code)

    def _publish(self, options: dict[str, Any]) -> int:
        gateway = gateway_from(options, with_key=True)
        output = Output.standard()
        event: str | None = options["event"]
        publication = Publication(
            topics=topic_list([options["topics"]]),
            id=fresh_id() if options["id"] is None else header_value("id", options["id"]),
            event=None if event is None else header_value("event type", event),
            retry=options["retry"],
            data=_data(options["data"], options["file"]),
        )
        try:
            outcome = asyncio.run(
                publish(
                    gateway,
                    publication,
                    patience=options["timeout"],
                    backoff=Backoff(0.25, 10.0),
                    tell=lambda sentence: tell(printable(sentence)),
                )
            )
        except Refused as error:
            if options["json"] and error.problem is not None:
                _print(output, one_line_json(error.problem))
            raise
        _print(output, one_line_json(outcome_object(outcome)) if options["json"] else outcome_text(outcome))
        return DROPPED if isinstance(outcome, Dropped) and options["fail_if_dropped"] else SUCCESS


def _print(output: Output, line: str) -> None:
    # Whether anybody reads it changes nothing about what happened, nor about the exit code.
    with contextlib.suppress(BrokenPipeError):
        output.line(line)


def _data(argument: str | None, file: str | None) -> bytes:
    if (argument is None) == (file is None):
        raise UsageError("Give the data once: as an argument, as - for standard input, or with --file.")
    if argument is not None and argument != "-":
        # The bytes that the shell gave, also when they are not UTF-8: the gateway is the judge of them.
        return os.fsencode(argument)
    if file is None:
        if sys.stdin is None:
            raise UsageError("Standard input is closed: there is nothing to publish.")
        return _read(sys.stdin.buffer, "Standard input")
    try:
        with Path(file).open("rb") as stream:
            return _read(stream, f"The file {file!r}")
    except OSError as error:
        raise UsageError(f"The file {file!r} cannot be read: {error.strerror}.") from error


def _read(stream: BinaryIO, name: str) -> bytes:
    data = stream.read(MAX_DATA_BYTES + 1)
    if len(data) > MAX_DATA_BYTES:
        raise UsageError(f"{name} has more than {MAX_DATA_BYTES:,} bytes: no gateway takes such an event.")
    return data
