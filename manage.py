#!/usr/bin/env python
"""Django's command line for the gateway."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command named in the arguments.

    `runserver` without any API key, neither in the environment nor in `.env`, makes one for this run, so that
    a fresh clone starts. It must happen here: Django's settings are read once, when Django loads.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    if sys.argv[1:2] == ["runserver"]:
        from dotenv import load_dotenv

        load_dotenv(os.environ.get("SSE_GATEWAY_DOTENV", Path(__file__).resolve().with_name(".env")))
        if not os.environ.get("GATEWAY_API_KEYS", "").strip(", "):
            from gateway_project.development import make_key_for_run

            make_key_for_run()

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
