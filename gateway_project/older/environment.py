"""The variables of the older Go and Rust services, as settings of the gateway."""

from collections.abc import Mapping
from urllib.parse import quote

_OWN = ("SSE_HOST", "SSE_PORT", "SSE_REDIS_CHANNEL")
_PUBSUB = ("GCP_PROJECT", "PUBSUB_SUBSCRIPTION")
_REDIS = ("REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_MAIN_DB")


def translate(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the older services' variables mean, beside what is set already.

    Redis is the Go service's only where one of its own (`SSE_…`) is set: `REDIS_HOST` and the like may be there for
    anybody. Google Pub/Sub is the Rust service's where both of its variables are set.

    Args:
        environ: Names and values.
    """
    # Kubernetes gives every pod SSE_PORT=tcp://… where a Service is called "sse", and REDIS_PORT likewise.
    environ = {name: value for name, value in environ.items() if not value.startswith("tcp://")}
    meant: dict[str, str] = {}
    sources: list[str] = []
    if any(environ.get(name) for name in _OWN):
        sources.append("redis-pubsub")
        if environ.get("SSE_REDIS_CHANNEL"):
            meant["GATEWAY_REDIS_PUBSUB_USERS"] = environ["SSE_REDIS_CHANNEL"]
        if any(environ.get(name) for name in _REDIS) or "GATEWAY_REDIS_URL" not in environ:
            meant["GATEWAY_REDIS_PUBSUB_URL"] = _url(environ)
    if all(environ.get(name) for name in _PUBSUB):
        sources.append("gcp-pubsub")
    if sources:
        meant["GATEWAY_SOURCES"] = ",".join(sources)
    return {name: value for name, value in meant.items() if name not in environ}


def _url(environ: Mapping[str, str]) -> str:
    host, port, user, password, database = (environ.get(name, "").strip() for name in _REDIS)
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return f"redis://{credentials}{host or '127.0.0.1'}:{port or '6379'}/{database or '1'}"


def port(environ: Mapping[str, str]) -> str | None:
    """Return `SSE_PORT`, None where it is not set or is Kubernetes' own."""
    value = environ.get("SSE_PORT", "")
    return value if value.isdigit() else None
