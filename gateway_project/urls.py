"""The paths that Django answers. Streams, `POST /publish` and the probes come before it (`gateway_project.asgi`)."""

from django.conf import settings
from django.urls import path

from dashboard import views
from gateway_project.api import MOUNT, api
from gateway_project.exposition import metrics
from gateway_project.static import static_file

urlpatterns = [
    path("metrics", metrics),
    path(MOUNT.removeprefix("/"), api.urls),
    path("", views.to_index),
    path("dashboard", views.to_index),
    path("dashboard/", views.index),
    path("dashboard/<path:path>", views.file),
    path(f"{settings.STATIC_URL.removeprefix('/')}<path:path>", static_file),
]

handler400 = "gateway_project.errors.bad_request"
handler403 = "gateway_project.errors.forbidden"
handler404 = "gateway_project.errors.not_found"
handler500 = "gateway_project.errors.server_error"
