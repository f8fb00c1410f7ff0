"""What the variables of the older Go and Rust services mean."""

import pytest

from gateway_project.older.environment import translate
from topics.conf import load


@pytest.mark.parametrize(
    ("environ", "meant"),
    [
        ({}, {}),
        ({"REDIS_HOST": "db", "REDIS_PORT": "1"}, {}),
        ({"SSE_PORT": ""}, {}),
        ({"SSE_PORT": "tcp://10.0.0.1:8085", "REDIS_PORT": "tcp://10.0.0.2:6379"}, {}),
        (
            {"SSE_PORT": "8085"},
            {"GATEWAY_SOURCES": "redis-pubsub", "GATEWAY_REDIS_PUBSUB_URL": "redis://127.0.0.1:6379/1"},
        ),
        (
            {
                "SSE_REDIS_CHANNEL": "news",
                "REDIS_HOST": "db",
                "REDIS_PORT": "7000",
                "REDIS_USERNAME": "me",
                "REDIS_PASSWORD": "p@ss/word",
                "REDIS_MAIN_DB": "3",
            },
            {
                "GATEWAY_SOURCES": "redis-pubsub",
                "GATEWAY_REDIS_PUBSUB_USERS": "news",
                "GATEWAY_REDIS_PUBSUB_URL": "redis://me:p%40ss%2Fword@db:7000/3",
            },
        ),
        ({"GCP_PROJECT": "shop"}, {}),
        ({"GCP_PROJECT": "shop", "PUBSUB_SUBSCRIPTION": "gateway"}, {"GATEWAY_SOURCES": "gcp-pubsub"}),
        ({"GCP_PROJECT": "shop", "PUBSUB_SUBSCRIPTION": "gateway", "GATEWAY_SOURCES": "postgres"}, {}),
        (
            {"SSE_HOST": "0.0.0.0", "GATEWAY_SOURCES": "", "GATEWAY_REDIS_URL": "redis://one"},  # noqa: S104
            {},
        ),
    ],
)
def test_its_variables_become_settings_that_are_not_set_otherwise(
    environ: dict[str, str], meant: dict[str, str]
) -> None:
    assert translate(environ) == meant
    assert not load({"GATEWAY_API_KEYS": "k", **meant})[1]
