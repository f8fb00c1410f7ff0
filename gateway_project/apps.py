"""The project as a Django application: it brings the commands."""

from django.apps import AppConfig


class GatewayProjectConfig(AppConfig):
    """The uppermost room."""

    name = "gateway_project"
