"""Django: a signal that publishes what was saved, and a view. Run: python django_app.py runserver 8001 --noreload.

Your project has the settings, the model and the URLs elsewhere; from here take `announce` and `shout`.
"""

import json
import sys

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:shop?mode=memory&cache=shared"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this example",  # noqa: S106
)
django.setup()

# ruff: noqa: E402 - Django is set up first, in the file that is all of the project.
from django.core.management import execute_from_command_line
from django.db import connection, models, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST
from gateway import publish


class Order(models.Model):
    """An order of the shop."""

    state = models.CharField(max_length=20)

    class Meta:
        app_label = "shop"


@receiver(post_save, sender=Order)
def announce(instance: Order, **_: object) -> None:
    """Publishes what was saved, after the commit: whoever then asks for the order sees what the event says."""
    data = json.dumps({"order": instance.pk, "state": instance.state})
    transaction.on_commit(lambda: print("subscribers:", publish("orders", data, event=instance.state)))


@require_POST
def pay(request: HttpRequest, number: int) -> JsonResponse:
    """Saves; the signal publishes."""
    order, _ = Order.objects.update_or_create(pk=number, defaults={"state": "paid"})
    return JsonResponse({"order": order.pk, "state": order.state})


@require_POST
def shout(request: HttpRequest, topic: str) -> JsonResponse:
    """Publishes the request's body, and waits for the gateway's answer."""
    return JsonResponse({"subscribers": publish(topic, request.body.decode())})


urlpatterns = [path("orders/<int:number>/pay", pay), path("shout/<str:topic>", shout)]

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    execute_from_command_line(sys.argv)
