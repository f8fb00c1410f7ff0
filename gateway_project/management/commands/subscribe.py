"""`manage.py subscribe`: print what is published to topics, until stopped."""

import sys
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from gateway_project.client import sse, websocket
from gateway_project.client.address import header_value, topic_list
from gateway_project.client.arguments import add_gateway, add_stream, gateway_from
from gateway_project.client.output import Output
from gateway_project.client.printing import print_events
from gateway_project.client.stopping import exit_code, run


class Command(BaseCommand):
    """A subscriber that a person can read."""

    help = "Print the events of topics of a running gateway, until stopped. Connects again by itself."
    # It is a client: nothing of this machine's gateway has to be set up for it.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The arguments of docs/reference/command-line.md."""
        parser.add_argument("topics", metavar="TOPIC", nargs="+", help="a topic, or several separated by commas")
        add_gateway(parser)
        parser.add_argument("--websocket", action="store_true", help="use a WebSocket instead of SSE")
        parser.add_argument(
            "--last-event-id",
            "--since",
            dest="last_event_id",
            metavar="ID",
            help="begin after this event, where the topics keep history",
        )
        add_stream(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Subscribe; exits with the code that docs/reference/command-line.md gives."""
        code = exit_code(partial(self._subscribe, options))
        if code:
            sys.exit(code)

    def _subscribe(self, options: dict[str, Any]) -> int:
        gateway = gateway_from(options, with_key=False)
        topics = topic_list(options["topics"])
        last_event_id: str | None = options["last_event_id"]
        if last_event_id is not None:
            header_value("last event id", last_event_id)
        subscription = websocket.subscription if options["websocket"] else sse.subscription
        printing = partial(
            print_events,
            partial(subscription, gateway, topics, silence=options["silence"]),
            url=gateway.url,
            as_json=options["json"],
            count=options["count"],
            last_event_id=last_event_id,
        )
        return run(printing, Output.standard())
