"""Every error that Django or django-ninja answers, as problem details (RFC 9457)."""

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from publishing.exceptions import problem as problem_of
from publishing.validation import describe
from topics.exceptions import InvalidInput, PlacementUnavailable, Refused
from topics.problems import INTERNAL, Problem, unauthorized

logger = logging.getLogger(__name__)

_NOT_FOUND = Problem(404, "not-found", "There is nothing at this path; /api/docs lists the endpoints.")
BAD_REQUEST = Problem(400, "invalid-request", "The request is malformed; see /api/docs for what is taken.")
TOO_LARGE = Problem(413, "too-large", "The body is larger than the gateway takes; send less in one request.")
_FORBIDDEN = Problem(403, "origin-not-allowed", "This request is not allowed.")
_NOT_JSON = Problem(400, "invalid-body", "The body is not JSON in UTF-8; send an object as /api/docs shows it.")


def respond(problem: Problem) -> HttpResponse:
    """Return a problem as Django's response."""
    response = HttpResponse()
    tell(response, problem)
    return response


def tell(response: HttpResponse, problem: Problem) -> None:
    """Make a response tell a problem; it keeps those of its headers that the problem does not set."""
    response.status_code = problem.status
    response.content = problem.body()
    for name, value in problem.asgi_headers():
        response[name.decode("ascii")] = value.decode("ascii")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django finds suspicious (`handler400`)."""
    return respond(TOO_LARGE if isinstance(exception, RequestDataTooBig) else BAD_REQUEST)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django forbids (`handler403`); nothing of ours is."""
    return respond(_FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path (`handler404`); the exception's text would list the known ones."""
    return respond(_NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected exception (`handler500`), which Django has logged."""
    return respond(INTERNAL)


def install(api: NinjaAPI) -> None:
    """Have an API answer each of its errors as a problem."""
    handlers: tuple[tuple[type[Exception], Callable[[HttpRequest, Any], HttpResponse]], ...] = (
        (Exception, _unexpected),
        (Http404, _api_not_found),
        (HttpError, _http_error),
        (AuthenticationError, _authentication_error),
        (ValidationError, _validation_error),
        (SuspiciousOperation, bad_request),
        (InvalidInput, _gateway_error),
        (Refused, _gateway_error),
        (PlacementUnavailable, _gateway_error),
    )
    for exception, handler in handlers:
        api.add_exception_handler(exception, handler)


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
    return respond(INTERNAL)


def _api_not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return respond(Problem(404, "not-found", str(error) or _NOT_FOUND.detail))


def _authentication_error(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return respond(unauthorized())


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    # django-ninja raises 400 for one thing only: a body that it cannot parse.
    return respond(
        _NOT_JSON if error.status_code == 400 else Problem(error.status_code, "invalid-request", error.message)
    )


def _validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    if error.errors[0]["loc"][0] == "query":
        errors = [{**each, "loc": each["loc"][1:]} for each in error.errors]
        return respond(Problem(400, "invalid-query", describe(errors, whole="The query", part="parameter")))
    # The second part is the name of the view's argument, which the client never sees.
    errors = [{**each, "loc": each["loc"][2:]} for each in error.errors]
    return respond(Problem(400, "invalid-body", describe(errors, whole="The body")))


def _gateway_error(request: HttpRequest, error: InvalidInput | Refused | PlacementUnavailable) -> HttpResponse:
    return respond(problem_of(error))
