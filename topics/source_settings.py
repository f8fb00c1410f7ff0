"""The settings of message sources (`publishing.sources`), a part of the gateway's own."""

from pydantic import BaseModel, Field, field_validator

from topics.comma_separated import CommaSeparated
from topics.placement.redis.address import parse_address

BROADCASTING = frozenset({"redis-pubsub", "gcp-pubsub"})
"""Sources with messages for everybody."""


class SourceSettings(BaseModel):
    """As `topics.conf.GatewaySettings`, which takes these in."""

    broadcast: bool = Field(
        default=False,
        description="Whether publishers may reach every connection, with the topic `gateway.broadcast`.",
    )

    sources: CommaSeparated = Field(
        default=(),
        description="Message sources to run, separated by commas: built-in names, or `module.Class` of your own.",
    )
    source_attempts: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Tries after which a message that cannot be published is given up: it must not hold up others.",
    )
    older_api_open: bool = Field(
        default=False,
        description="Whether `POST /api/send` and `GET /api/stats` answer without a key, as the older service did.",
    )
    default_user_id: str | None = Field(
        default=None,
        max_length=200,
        description="User of requests to `/sse` that name neither a topic nor a `user_id`; none when not set.",
    )
    redis_pubsub_url: str | None = Field(
        default=None, description="Redis of the source `redis-pubsub`. Default: `GATEWAY_REDIS_URL`."
    )
    redis_pubsub_patterns: CommaSeparated = Field(
        default=("sse:*",), description="Patterns of channels that `redis-pubsub` listens to, separated by commas."
    )
    redis_pubsub_users: str = Field(
        default="notifications", description="Channel of `redis-pubsub` whose messages name a user in `user_id`."
    )
    redis_streams_url: str | None = Field(
        default=None, description="Redis of the source `redis-streams`. Default: `GATEWAY_REDIS_URL`."
    )
    redis_streams_keys: CommaSeparated = Field(
        default=(), description="Streams that `redis-streams` reads, separated by commas."
    )
    redis_streams_group: str = Field(
        default="sse-gateway", min_length=1, description="Consumer group of `redis-streams`."
    )

    eventstream_url: str | None = Field(
        default=None,
        description="Redis of the source `eventstream`: that of `EVENTSTREAM_REDIS`. Default: `GATEWAY_REDIS_URL`.",
    )
    postgres_url: str | None = Field(default=None, description="PostgreSQL of the source `postgres`.")
    postgres_channel: str = Field(
        default="sse_gateway",
        min_length=1,
        max_length=63,
        description="Channel of `NOTIFY` that the source `postgres` listens to.",
    )
    postgres_outbox: str | None = Field(
        default=None,
        max_length=63,
        description="Table whose rows the source `postgres` publishes and then deletes; none when not set.",
    )

    @property
    def broadcasts(self) -> bool:
        """Whether every connection takes part in broadcasts: somebody may send one."""
        return self.broadcast or not BROADCASTING.isdisjoint(self.sources)

    @field_validator("postgres_url")
    @classmethod
    def _postgres_has_an_address(cls, url: str | None) -> str | None:
        if url and not url.startswith(("postgres://", "postgresql://")):
            raise ValueError("it must begin with postgres:// or postgresql://")
        return url or None

    @field_validator(
        "sources",
        "redis_pubsub_patterns",
        "redis_streams_keys",
        "redis_pubsub_users",
        "redis_streams_group",
        "postgres_channel",
        "postgres_outbox",
        "default_user_id",
    )
    @classmethod
    def _names_can_be_read(cls, names: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        for name in [names] if isinstance(names, str) else names or ():
            if not name.isprintable():
                raise ValueError("a name must be characters that can be printed")
        return names

    @field_validator("redis_pubsub_url", "redis_streams_url", "eventstream_url")
    @classmethod
    def _source_redis_has_an_address(cls, url: str | None) -> str | None:
        if url:
            parse_address(url)
        return url or None
