"""The JSON API, assembled: publishing and administration, its OpenAPI document and its page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from dashboard import pages
from dashboard.api import router as admin
from dashboard.sources import router as sources
from gateway_project import errors, stream_events
from gateway_project.openapi import DESCRIPTION, RAW_PATHS, TAGS
from publishing.api import router as publishing
from topics.problems import CONTENT_TYPE
from topics.version import VERSION

MOUNT = "/api/"
"""Where `gateway_project.urls` puts the API."""

# Swagger UI sets styles on its elements, has pictures in its style sheet, and writes HTML: the rest is the dashboard's.
_DOCUMENTATION_POLICY = pages.policy(
    {"style-src": "'self' 'unsafe-inline'", "img-src": "'self' data:", "require-trusted-types-for": ""}
)


class GatewayAPI(NinjaAPI):
    """The API, whose document also describes the endpoints that answer without django-ninja."""

    _document: OpenAPISchema | None = None

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the OpenAPI document. It is public and asked for by strangers, so it is made once."""
        if self._document is None:
            document = super().get_openapi_schema(path_prefix=path_prefix or MOUNT, path_params=path_params)
            for operations in document["paths"].values():
                for operation in operations.values():
                    _name_problems(operation["responses"])
            document["paths"].update(RAW_PATHS)
            document["components"]["schemas"].update(stream_events.schemas())
            self._document = document
        return self._document


def _name_problems(responses: dict[int, dict[str, Any]]) -> None:
    # django-ninja knows one media type for all answers.
    for status, response in responses.items():
        content = response.get("content")
        if status >= 400 and content:
            response["content"] = {CONTENT_TYPE: content["application/json"]}


def _documentation(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    # The page takes a key, and the dashboard of the same origin keeps one: no script of others runs here either.
    @require_safe
    @wraps(view)
    def secured(request: HttpRequest, **arguments: Any) -> HttpResponse:
        response = view(request, **arguments)
        pages.secure(response, _DOCUMENTATION_POLICY)
        return response

    return secured


api = GatewayAPI(
    title="SSE gateway",
    version=VERSION,
    description=DESCRIPTION,
    docs_url="/docs",
    openapi_url="/v1/openapi.json",
    docs_decorator=_documentation,
    urls_namespace="api",
    openapi_extra={"tags": TAGS},
)
api.add_router("/v1", publishing)
api.add_router("/v1", admin)
api.add_router("/v1", sources)
errors.install(api)
