"""The start and the end of a node: its runtime, and the message sources that publish through it."""

from django.conf import settings
from django.core.management.base import CommandError

from publishing.sources import registry, running
from publishing.sources.base import Misconfigured, Source
from topics import process


def load_sources() -> tuple[Source, ...]:
    """Make the sources that `GATEWAY_SOURCES` names.

    Raises:
        CommandError: One cannot be run as it is set up.
    """
    try:
        return tuple(registry.load(settings.GATEWAY))
    except Misconfigured as error:
        raise CommandError(error.detail) from None


def start_soon(sources: tuple[Source, ...]) -> None:
    """Start the runtime without waiting for a request, and the sources behind it."""
    process.start_soon()
    running.start_soon(sources)


async def shut_down() -> None:
    """Take no more messages, then drain: what came before still reaches everybody."""
    await running.stop()
    await process.shut_down()
