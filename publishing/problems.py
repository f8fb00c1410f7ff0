"""Moved to `topics.problems`."""

from topics.problems import CONTENT_TYPE, SLUGS, Problem, from_exception, method_not_allowed, unauthorized

__all__ = ["CONTENT_TYPE", "SLUGS", "Problem", "from_exception", "method_not_allowed", "unauthorized"]
