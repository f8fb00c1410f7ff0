"""Registers the settings' checks with Django."""

from django.apps import AppConfig


class TopicsConfig(AppConfig):
    """The lowest room."""

    name = "topics"

    def ready(self) -> None:
        """Register what `manage.py check` reports."""
        from topics import checks  # noqa: F401
