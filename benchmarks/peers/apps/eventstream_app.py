"""django-eventstream as its README sets it up, on Daphne, without storage."""

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="for this run",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_eventstream"],
    MIDDLEWARE=[],
    DATABASES={},
    LOGGING_CONFIG=None,
)
django.setup()

import django_eventstream  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_eventstream import send_event  # noqa: E402


def publish(request: HttpRequest) -> HttpResponse:
    send_event(request.headers["x-sse-topic"], "message", request.body.decode(), async_publish=False)
    return HttpResponse("ok")


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    path("sse", include(django_eventstream.urls)),
    path("publish", publish),
    path("health", health),
]
application = get_asgi_application()
