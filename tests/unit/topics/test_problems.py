import json

import pytest

from topics.exceptions import Draining, InvalidId, InvalidTopic, PlacementUnavailable, TooManyFromClient
from topics.problems import SLUGS, Problem, from_exception, method_not_allowed, unauthorized


def test_the_body_is_a_problem_details_object() -> None:
    problem = Problem(400, "invalid-id", "x-sse-id holds an empty item.")
    assert json.loads(problem.body()) == {
        "type": "/problems/invalid-id",
        "title": SLUGS["invalid-id"],
        "status": 400,
        "detail": "x-sse-id holds an empty item.",
    }


def test_the_headers_describe_the_body() -> None:
    problem = Problem(503, "unavailable", "Try again.", (("retry-after", "1"),))
    headers = dict(problem.asgi_headers())
    assert headers == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(problem.body())).encode(),
        b"cache-control": b"no-store",
        b"retry-after": b"1",
    }


def test_a_detail_that_utf8_cannot_carry_is_still_json() -> None:
    assert json.loads(Problem(400, "invalid-body", "\ud800 €").body())["detail"] == "\ud800 €"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="no-such-type"):
        Problem(400, "no-such-type", "")


def test_401_names_the_scheme() -> None:
    assert ("www-authenticate", "Bearer") in unauthorized().headers


def test_405_lists_the_methods_and_repeats_only_a_plain_name() -> None:
    assert ("allow", "GET, HEAD") in method_not_allowed("POST", "GET, HEAD").headers
    assert method_not_allowed("POST", "GET").detail == "POST is not allowed here; use GET."
    assert "<" not in method_not_allowed("<script>", "GET").detail
    assert len(method_not_allowed("A" * 10_000, "GET").detail) < 100


@pytest.mark.parametrize(
    ("error", "status", "slug", "retry_after"),
    [
        (InvalidTopic("No."), 400, "invalid-topic", None),
        (InvalidId("No."), 400, "invalid-id", None),
        (Draining("Not now.", retry_after=3), 503, "draining", "3"),
        (TooManyFromClient("Not now.", retry_after=5), 429, "too-many-connections", "5"),
        (PlacementUnavailable(), 503, "unavailable", "1"),
    ],
)
def test_every_exception_has_its_problem(
    error: InvalidTopic | InvalidId | Draining | TooManyFromClient | PlacementUnavailable,
    status: int,
    slug: str,
    retry_after: str | None,
) -> None:
    problem = from_exception(error)
    assert (problem.status, problem.slug, dict(problem.headers).get("retry-after")) == (status, slug, retry_after)
