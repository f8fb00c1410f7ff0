"""Structured logs: one JSON object a line, or lines for people. No API key ever gets into one."""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from topics.conf import GatewaySettings

# Between scheme and token there is a space; what parsers and literals make of other white space is covered too.
_BEARER = re.compile(r"(?i)(bearer(?:\s|\\[nrt])+)[^\s\"',}]+")
_REDACTED = "[redacted]"


class Secrets:
    """Takes API keys and bearer tokens out of what is logged.

    Args:
        keys: The API keys.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        # A key with a quote or a backslash looks different inside a literal. The longest goes first, since one key
        # may be a part of another.
        forms = {form for key in keys for form in (key, repr(key)[1:-1], json.dumps(key)[1:-1])}
        self._forms = sorted(forms, key=len, reverse=True)
        self._forms_in_json = forms | {json.dumps(form)[1:-1] for form in forms}

    def out_of(self, text: str) -> str:
        """Return the text without them."""
        for form in self._forms:
            text = text.replace(form, _REDACTED)
        return _BEARER.sub(rf"\1{_REDACTED}", text)

    def _may_be_in(self, line: str) -> bool:
        # A line for every dropped publish: looking at the whole line once costs a tenth of looking at every field.
        return any(form in line for form in self._forms_in_json) or "bearer" in line.lower()

    def out_of_value(self, value: object) -> object:
        """Return a value that JSON can hold, without them; containers are copied."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.out_of(str(name)): self.out_of_value(each) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.out_of_value(each) for each in value]
        return self.out_of(value if isinstance(value, str) else repr(value))

    def before(self, renderer: Processor) -> Processor:
        """Return a renderer that never sees them: what it makes of the rest stays well-formed."""

        def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
            line = str(renderer(logger, name, event))
            if not self._may_be_in(line):
                return line
            cleaned = {self.out_of(field): self.out_of_value(value) for field, value in event.items()}
            return str(renderer(logger, name, cleaned))

        return render

    def behind(self, renderer: Processor) -> Processor:
        """Return a renderer whose line they are taken out of: for those that format tracebacks by themselves."""

        def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
            return self.out_of(str(renderer(logger, name, event)))

        return render


class Faults(logging.Filter):
    """Lets through what Django logs of a request only when it failed by a fault of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the answer was 500, or a line has nothing to do with an answer."""
        return getattr(record, "status_code", 500) == 500


class Stderr:
    """Where structlog's own lines go: to standard error, or nowhere when nobody reads it any more."""

    def info(self, line: str) -> None:
        """Write a line."""
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            # As the standard library's handlers: whoever closed the log must not stop the gateway.
            return

    debug = warning = error = critical = exception = info


def configure(config: dict[str, Any]) -> None:
    """Set up both ways to log, as Django's `LOGGING_CONFIG` does it with `LOGGING`."""
    logging.config.dictConfig(config)
    structlog.configure(**config["structlog"], logger_factory=lambda *_: Stderr(), cache_logger_on_first_use=True)


def logging_config(settings: GatewaySettings) -> dict[str, Any]:
    """Return the configuration of both ways to log; lines go to standard error.

    Everything goes through the standard library, but for the line of a dropped publish: that one goes through structlog
    alone, which makes the same line in half the time.
    """
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        stamp,
    ]
    secrets = Secrets(settings.api_keys)
    if settings.log_format == "json":
        final = [structlog.processors.format_exc_info, secrets.before(structlog.processors.JSONRenderer())]
    else:
        # Tracebacks without the variables of their frames: those hold events, and what strangers sent as keys.
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        final = [secrets.behind(console)]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"faults": {"()": "gateway_project.logs.Faults"}},
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *final,
                ],
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": settings.log_level.upper()},
        "loggers": {
            # Django has a line for every 4xx and 503 answer, too: those are no fault of ours.
            "django.request": {"level": "ERROR", "filters": ["faults"]},
            "asyncio": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING", "handlers": [], "propagate": True},
        },
        "structlog": {
            "processors": [structlog.processors.add_log_level, stamp, *final],
            "wrapper_class": structlog.make_filtering_bound_logger(settings.log_level),
        },
    }
