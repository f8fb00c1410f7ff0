"""Structured logs: one JSON object a line, or lines for people. No API key ever gets into one."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from topics.conf import GatewaySettings

_BEARER = re.compile(r"(?i)(bearer\s+)[^\s\"',}]+")
_REDACTED = "[redacted]"


class Redacting:
    """A renderer that takes secrets out of what another rendered, wherever in the line they stand.

    Args:
        renderer: Makes the line.
        secrets: What must not be in it.
    """

    def __init__(self, renderer: Processor, secrets: Sequence[str]) -> None:
        self._renderer = renderer
        self._secrets = tuple(secrets)

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        """Render a line."""
        line = str(self._renderer(logger, name, event))
        for secret in self._secrets:
            line = line.replace(secret, _REDACTED)
        return _BEARER.sub(rf"\1{_REDACTED}", line)


def logging_config(settings: GatewaySettings) -> dict[str, Any]:
    """Return a `logging.config.dictConfig` for the whole process; lines go to standard error."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.log_format == "json":
        final: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Tracebacks without the variables of their frames: those hold events, and what strangers sent as keys.
        plain = structlog.dev.plain_traceback
        final = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    renderer = Redacting(final[-1], settings.api_keys)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *final[:-1],
                    renderer,
                ],
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": settings.log_level.upper()},
        "loggers": {
            # Every 4xx answer would be a warning here: they are the client's business, and counted.
            "django.request": {"level": "ERROR"},
            "asyncio": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING", "handlers": [], "propagate": True},
        },
    }
