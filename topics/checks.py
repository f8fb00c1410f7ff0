"""The gateway's settings as Django system checks: `manage.py check` says what would stop the start."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register("gateway")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report every wrong or unknown `GATEWAY_*` variable."""
    return [Error(problem.message, id="gateway.E001") for problem in settings.GATEWAY_PROBLEMS]
