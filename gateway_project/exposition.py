"""`GET /metrics`: what this node has counted, for Prometheus."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from gateway_project.errors import respond
from publishing.authentication import allowed
from topics.metrics import REGISTRY
from topics.problems import unauthorized


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Show the counters in the format that is asked for."""
    if not (settings.GATEWAY.metrics_public or allowed(request)):
        return respond(unauthorized())
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return HttpResponse(encode(REGISTRY), content_type=content_type)
