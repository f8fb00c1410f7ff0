"""Django's settings. The gateway's own are `GATEWAY_*` variables, read once here into `GATEWAY`."""

import hashlib
import os
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from gateway_project.logs import logging_config
from gateway_project.older.environment import translate
from topics import conf
from topics.history.database.address import databases

BASE_DIR = Path(__file__).resolve().parent.parent

# The environment wins over `.env`, as everywhere. Tests name an empty file, to be free of a developer's own.
DOTENV = Path(os.environ.get("SSE_GATEWAY_DOTENV", BASE_DIR / ".env"))
_ENVIRONMENT = {**{name: value or "" for name, value in dotenv_values(DOTENV).items()}, **os.environ}
GATEWAY, GATEWAY_PROBLEMS = conf.load({**translate(_ENVIRONMENT), **_ENVIRONMENT})

DEBUG = False
# The gateway builds no address from the Host header, and is reached by names that it cannot know.
ALLOWED_HOSTS = ["*"]
# Signs the cursors of lists. Every node has the same keys, so every node knows the others' cursors.
SECRET_KEY = hashlib.sha256("\n".join(("sse-gateway", *sorted(GATEWAY.api_keys))).encode()).hexdigest()

INSTALLED_APPS = ["gateway_project", "dashboard", "publishing", "topics", "ninja"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "gateway_project.urls"
ASGI_APPLICATION = "gateway_project.asgi.application"
APPEND_SLASH = False
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
# A gateway whose history is elsewhere knows no database.
DATABASES: dict[str, dict[str, Any]] = (
    databases(GATEWAY.database_url, BASE_DIR) if GATEWAY.history_store == "database" else {}
)
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"

# The front has limited and read the body before Django sees the request (gateway_project/front.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = None
FILE_UPLOAD_MAX_MEMORY_SIZE = GATEWAY.max_body_bytes + 1

LOGGING_CONFIG = "gateway_project.logs.configure"
LOGGING = logging_config(GATEWAY)
