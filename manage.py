#!/usr/bin/env python
"""Django's command line for the gateway."""

import os
import sys


def main() -> None:
    """Run the command named in the arguments.

    `runserver` without any API key makes one for this run, so that a fresh clone starts. It must happen
    here: the settings are read once, when Django loads, and refuse to go on without a key.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    if sys.argv[1:2] == ["runserver"] and not os.environ.get("GATEWAY_API_KEYS"):
        from gateway_project.development import make_key_for_run

        make_key_for_run()

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
