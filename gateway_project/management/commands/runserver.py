"""`manage.py runserver`: the gateway on a developer's machine, with what to paste next."""

import os
from typing import Any

from daphne.management.commands import runserver
from django.conf import settings
from django.core.management.base import CommandError

from gateway_project.development import KEY_WAS_MADE, first_steps
from gateway_project.lifecycle import load_sources, start_soon
from gateway_project.servers.files import raise_file_limit
from topics.process import listens_on


class Command(runserver.Command):
    """Daphne's own, with the gateway's extension and its first steps."""

    help = "Run the gateway for development; makes an API key when none is set."

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Print the first steps, then run."""
        if settings.GATEWAY_PROBLEMS:
            raise CommandError("\n".join(problem.message for problem in settings.GATEWAY_PROBLEMS))
        raise_file_limit()
        sources = load_sources()
        if sources:
            from twisted.internet import reactor

            # In the loop's first turn, not before there is one.
            reactor.callLater(0, start_soon, sources)  # type: ignore[arg-type]
        host = f"[{self.addr}]" if self._raw_ipv6 else self.addr
        if int(self.port):
            listens_on(int(self.port))
        made = KEY_WAS_MADE in os.environ
        self.stdout.write(first_steps(f"http://{host}:{self.port}", settings.GATEWAY.api_keys[0], made=made))
        super().inner_run(*args, **options)
