"""Is the process alive, can it deliver, and what has it counted: `/health`, `/ready`, `/metrics`."""

import asyncio

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from gateway_project.errors import respond
from publishing.authentication import allowed
from topics.exceptions import PlacementUnavailable
from topics.metrics import REGISTRY
from topics.problems import unauthorized
from topics.runtime import running

READY_SECONDS = 2.0
"""How long the message through the layer may take before the node counts as not ready."""


@require_safe
async def health(request: HttpRequest) -> HttpResponse:
    """Say that the process answers; it asks nothing else, so that a lost store does not restart every node."""
    return JsonResponse({"status": "ok"})


@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """Say whether this node can really deliver: it has just passed a message through the layer to itself."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            runtime = await running()
            if runtime.hub.draining:
                return _not_ready("draining", "This node is shutting down.")
            await runtime.placement.check()
    except PlacementUnavailable:
        return _not_ready("unavailable", "The placement store cannot be reached.")
    except TimeoutError:
        return _not_ready("unavailable", f"The placement store did not answer within {READY_SECONDS:g} seconds.")
    return JsonResponse({"status": "ready"})


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Show the counters to Prometheus, in the format that it asks for."""
    if not (settings.GATEWAY.metrics_public or allowed(request)):
        return respond(unauthorized())
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return HttpResponse(encode(REGISTRY), content_type=content_type)


def _not_ready(status: str, detail: str) -> HttpResponse:
    return JsonResponse({"status": status, "detail": detail}, status=503, headers={"retry-after": "1"})
