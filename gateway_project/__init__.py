"""The Django project: settings, routing, servers and the command line."""
