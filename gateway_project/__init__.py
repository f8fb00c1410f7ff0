"""The Django project: settings, routing, servers and the command line."""

__version__ = "0.1.0"
