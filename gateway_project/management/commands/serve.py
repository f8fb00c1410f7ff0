"""`manage.py serve`: the gateway as containers run it."""

import argparse
import logging
import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway_project.older import environment as older

logger = logging.getLogger("gateway_project.serve")

MAX_WORKERS = 256


def _port(value: str) -> int:
    port = int(value)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


def _workers(value: str) -> int:
    count = int(value)
    if not 1 <= count <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"workers are 1 to {MAX_WORKERS}")
    return count


class Command(BaseCommand):
    """Run the gateway until SIGTERM or SIGINT, then drain."""

    help = "Run the gateway."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options; docs/reference/command-line.md lists them, and a test compares."""
        parser.add_argument(
            "--bind",
            # The name by which the older Go service knew it, as SSE_PORT below.
            default=os.environ.get("SSE_HOST") or "127.0.0.1",
            help="Address to listen on (default: SSE_HOST in the environment, or 127.0.0.1).",
        )
        parser.add_argument(
            "--port",
            type=_port,
            # The name by which Cloud Run, Heroku and others tell it.
            default=os.environ.get("PORT") or older.port(os.environ) or "8080",
            help="Port to listen on; 0 takes a free one (default: PORT or SSE_PORT in the environment, or 8080).",
        )
        parser.add_argument(
            "--server",
            choices=("daphne", "uvicorn"),
            default="daphne",
            help="Which ASGI server runs the gateway (default: %(default)s).",
        )
        parser.add_argument(
            "--workers",
            type=_workers,
            default=1,
            metavar="N",
            help="Processes on the port, each a node; more than one needs GATEWAY_REDIS_URL (default: %(default)s).",
        )
        parser.add_argument(
            "--fd",
            type=int,
            metavar="N",
            help="File descriptor of an inherited socket to listen on, in place of --bind and --port.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        if settings.GATEWAY_PROBLEMS:
            raise CommandError("\n".join(problem.message for problem in settings.GATEWAY_PROBLEMS))
        if options["workers"] > 1:
            from gateway_project.lifecycle import load_sources

            # Said once, and not by each worker.
            load_sources()
            self._supervise(options)
        else:
            self._serve(options)

    def _supervise(self, options: dict[str, Any]) -> None:
        from gateway_project.servers.files import raise_file_limit
        from gateway_project.servers.workers import Workers

        gateway = settings.GATEWAY
        count = options["workers"]
        if gateway.redis_url is None:
            raise CommandError(
                f"--workers {count} needs GATEWAY_REDIS_URL: without Redis each process would be a gateway of its own, "
                "and a publish to one would miss the subscribers of the others."
            )
        if options["fd"] is not None:
            raise CommandError("--workers and --fd exclude each other: each worker listens on a socket of its own.")

        def environment(number: int) -> dict[str, str]:
            # The default name has the process id in it.
            given = "node_name" in gateway.model_fields_set
            return {"GATEWAY_NODE_NAME": f"{gateway.node_name}-{number}"} if given else {}

        raise_file_limit()
        workers = Workers(
            [sys.executable, *sys.orig_argv[1:], "--workers=1"],
            count=count,
            host=options["bind"],
            port=options["port"],
            environment=environment,
            drain_seconds=gateway.drain_seconds,
        )
        sys.exit(workers.run())

    def _serve(self, options: dict[str, Any]) -> None:
        if options["server"] == "uvicorn":
            from gateway_project.servers.uvicorn import run
        else:
            from gateway_project.servers.daphne_serve import run
        from gateway_project.lifecycle import load_sources, shut_down, start_soon
        from gateway_project.servers.files import raise_file_limit
        from gateway_project.servers.garbage import spare_what_stays
        from gateway_project.servers.listener import inherited
        from gateway_project.servers.workers import end_with_supervisor
        from topics.process import listens_on

        sources = load_sources()

        def on_listening(host: str, port: int) -> None:
            listens_on(port)
            start_soon(sources)
            spare_what_stays(rarely=options["server"] == "uvicorn")
            _log_listening(host, port)

        end_with_supervisor(os.environ)
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
            listener=None if options["fd"] is None else inherited(options["fd"]),
        )


def _log_listening(host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    logger.info("listening", extra={"url": f"http://{address}:{port}"})
