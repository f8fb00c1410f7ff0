"""The gateway's settings, with which `manage.py serve` serves the echo instead of the gateway."""

from gateway_project.settings import *  # noqa: F403  # settings are names in a module

ASGI_APPLICATION = "tests.autobahn.echo.application"
