"""`manage.py tail`: print everything that is published to a topic, dropped or not."""

import sys
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from gateway_project.client import sse
from gateway_project.client.address import topic_list
from gateway_project.client.arguments import add_gateway, add_key, add_stream, gateway_from
from gateway_project.client.messages import Message
from gateway_project.client.output import Output
from gateway_project.client.printing import print_events
from gateway_project.client.stopping import exit_code, run


class Command(BaseCommand):
    """An administrator's view of a topic, which does not make the topic exist."""

    help = (
        "Print everything that is published to a topic of a running gateway, also what was dropped because "
        "nobody is connected, until stopped. Needs an API key. It is no subscriber: it makes no topic exist."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The arguments of docs/reference/command-line.md."""
        parser.add_argument("topic", metavar="TOPIC", help="a topic")
        add_gateway(parser)
        add_key(parser)
        add_stream(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Tail; exits with the code that docs/reference/command-line.md gives."""
        code = exit_code(partial(self._tail, options))
        if code:
            sys.exit(code)

    def _tail(self, options: dict[str, Any]) -> int:
        gateway = gateway_from(options, with_key=True)
        topic = topic_list([options["topic"]])

        def connect(_last_event_id: str | None) -> AsyncGenerator[Message, None]:
            # A tail shows what happens now: it has no past to resume from.
            return sse.tail(gateway, topic, silence=options["silence"])

        printing = partial(print_events, connect, url=gateway.url, as_json=options["json"], count=options["count"])
        return run(printing, Output.standard())
