"""`manage.py serve`: the gateway as containers run it."""

import argparse
import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

logger = logging.getLogger("gateway_project.serve")


def _port(value: str) -> int:
    port = int(value)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


class Command(BaseCommand):
    """Run the gateway until SIGTERM or SIGINT, then drain."""

    help = "Run the gateway."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options; docs/reference/command-line.md lists them, and a test compares."""
        parser.add_argument("--bind", default="127.0.0.1", help="Address to listen on (default: %(default)s).")
        parser.add_argument(
            "--port", type=_port, default=8080, help="Port to listen on; 0 takes a free one (default: %(default)s)."
        )
        parser.add_argument(
            "--server",
            choices=("daphne", "uvicorn"),
            default="daphne",
            help="Which ASGI server runs the gateway (default: %(default)s).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        if settings.GATEWAY_PROBLEMS:
            raise CommandError("\n".join(problem.message for problem in settings.GATEWAY_PROBLEMS))
        if options["server"] == "uvicorn":
            from gateway_project.servers.uvicorn import run
        else:
            from gateway_project.servers.daphne_serve import run
        from gateway_project.servers.files import raise_file_limit
        from gateway_project.servers.garbage import spare_what_stays
        from topics.runtime import listens_on, shut_down, start_soon

        def on_listening(host: str, port: int) -> None:
            listens_on(port)
            start_soon()
            spare_what_stays()
            _log_listening(host, port)

        raise_file_limit()
        gateway = settings.GATEWAY
        run(
            "{0}:{2}".format(*settings.ASGI_APPLICATION.rpartition(".")),
            host=options["bind"],
            port=options["port"],
            header_timeout=gateway.header_timeout_seconds,
            heartbeat=gateway.heartbeat_seconds,
            drain=shut_down,
            on_listening=on_listening,
        )


def _log_listening(host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    logger.info("listening", extra={"url": f"http://{address}:{port}"})
