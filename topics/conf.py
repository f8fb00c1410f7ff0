"""The gateway's settings: every `GATEWAY_*` variable, typed, checked together, and read once."""

import difflib
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from topics.comma_separated import CommaSeparated, split
from topics.history.database.address import databases
from topics.history.rules import Rules, parse_rules
from topics.placement.redis.address import parse_address
from topics.source_settings import SourceSettings

PREFIX = "GATEWAY_"

CLIENT_NAMES = frozenset({"GATEWAY_URL", "GATEWAY_API_KEY"})
"""Read by the command-line clients and the conformance suite; the server leaves them alone."""

# A Kubernetes Service called "gateway" puts these into every pod of its namespace; they are not meant for us.
_KUBERNETES_NAME = re.compile(r"GATEWAY_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")

_API_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


HistoryRules = Annotated[
    InstanceOf[Rules], BeforeValidator(lambda value: parse_rules(value) if isinstance(value, str) else value)
]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class GatewaySettings(SourceSettings):
    """One field a variable: `max_topics` is `GATEWAY_MAX_TOPICS`. The description is the reference's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_keys: CommaSeparated = Field(
        default=(),
        min_length=1,
        validate_default=True,
        description="API keys of publishers and administrators, separated by commas. Required.",
    )
    max_topics: int = Field(default=100, ge=1, le=10_000, description="Most topics in one list and on one connection.")
    max_event_bytes: int = Field(
        default=1_048_576, ge=1, le=64 * 1_048_576, description="Largest data of one event, in bytes of UTF-8."
    )
    max_body_bytes: int = Field(
        default=16 * 1_048_576,
        ge=1,
        le=1024 * 1_048_576,
        description="Largest request body of the JSON API (a batch holds many events), in bytes.",
    )
    outbox_events: int = Field(
        default=256, ge=1, description="Events that may wait for one connection before its slow-reader policy applies."
    )
    outbox_bytes: int = Field(
        default=1_048_576,
        ge=1024,
        description="Bytes that may wait for one connection, what the server buffers for its socket counted in.",
    )
    slow_reader: Literal["disconnect", "drop-oldest"] = Field(
        default="disconnect",
        description="What happens to a connection past its outbox limits: it is closed, or its oldest events are "
        "dropped and it is told with `gateway.gap`.",
    )
    heartbeat_seconds: float = Field(
        default=15, ge=0.1, le=3600, description="Seconds of silence after which a connection gets a keep-alive."
    )
    retry_ms: int = Field(
        default=3000, ge=0, le=86_400_000, description="Reconnect time told to every SSE client, in milliseconds."
    )
    cors_origins: CommaSeparated = Field(
        default=("*",), description="Origins whose pages may subscribe, separated by commas; `*` is every origin."
    )
    admin_cors_origins: CommaSeparated = Field(
        default=(), description="Origins whose pages may publish and use the admin API, separated by commas."
    )
    max_connections: int = Field(default=0, ge=0, description="Most connections of this node; 0 is no limit.")
    max_connections_per_client: int = Field(
        default=0, ge=0, description="Most connections of one client address on this node; 0 is no limit."
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(split)] = Field(
        default=(),
        description="Addresses or networks (CIDR) of proxies whose `x-forwarded-for` is believed, separated by commas.",
    )
    metrics_public: bool = Field(default=False, description="Whether `/metrics` answers without a key.")
    node_name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        pattern=r"^[\x21-\x2b\x2d-\x7e]{1,255}$",
        description="Name of this node, unique among the nodes. Default: host name and process id.",
    )
    node_host: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Host that this node advertises. Default: the host name.",
    )
    redis_url: str | None = Field(
        default=None,
        description="Redis through which several nodes are one gateway; without it, this process is the whole gateway.",
    )
    node_ttl_seconds: float = Field(
        default=10,
        ge=1,
        le=300,
        description="Seconds after which a node that Redis has not heard of counts as dead. The same on every node.",
    )
    history: HistoryRules = Field(
        default=Rules(()),
        description="Which topics keep their events, and how many: rules such as `orders.*=1000/1h` separated by "
        "commas; the longest match wins.",
    )
    history_store: Literal["memory", "redis", "database"] | None = Field(
        default=None,
        validate_default=True,
        description="Where events are kept: `memory`, `redis` or `database`. Default: `redis` with "
        "`GATEWAY_REDIS_URL`, else `memory`.",
    )
    history_bytes: int = Field(
        default=64 * 1_048_576,
        ge=65_536,
        description="Memory that the kept events of all topics may take with the store `memory`, in bytes; the oldest "
        "go first.",
    )
    database_url: str = Field(
        default="sqlite:///gateway.sqlite3",
        pattern=r"^[a-z][a-z0-9+]*://\S+$",
        description="Database for the store `database`: `sqlite:///PATH` (a path that is not absolute begins at the "
        "gateway's folder) or `postgres://user:password@host:port/name`.",
    )
    dedupe_seconds: float = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Seconds in which a publish with the same topic and id is answered as the first time and not "
        "delivered again; 0 is off. The same on every node.",
    )
    drain_seconds: float = Field(
        default=8,
        ge=0,
        le=3600,
        description="Most seconds that connections get to close after SIGTERM before they are cut.",
    )
    header_timeout_seconds: float = Field(
        default=10, ge=0.1, le=3600, description="Most seconds from a request's first byte to the end of its headers."
    )
    body_timeout_seconds: float = Field(
        default=30, ge=0.1, le=3600, description="Most seconds that a publisher may take to send a body."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Log lines for people, or one JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log lines that are written."
    )

    @field_validator("api_keys")
    @classmethod
    def _keys_fit_a_header(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_API_KEY.fullmatch(key) for key in keys):
            raise ValueError("a key must be visible ASCII characters")
        return keys

    @field_validator("redis_url")
    @classmethod
    def _redis_has_an_address(cls, url: str | None) -> str | None:
        if url:
            parse_address(url)
        return url or None

    @field_validator("database_url")
    @classmethod
    def _database_is_one_of_django_s(cls, url: str) -> str:
        databases(url, Path())
        return url

    @field_validator("history_store")
    @classmethod
    def _store_suits_the_placement(cls, store: str | None, info: ValidationInfo) -> str:
        if "redis_url" not in info.data:
            # That is the fault to tell.
            return store or "memory"
        several_nodes = info.data["redis_url"] is not None
        if store == "memory" and several_nodes:
            raise ValueError(
                "the memory of one process cannot serve the nodes that GATEWAY_REDIS_URL joins; choose redis or "
                "database"
            )
        if store == "redis" and not several_nodes:
            raise ValueError("redis needs GATEWAY_REDIS_URL; set it, or choose memory or database")
        return store or ("redis" if several_nodes else "memory")

    @field_validator("cors_origins", "admin_cors_origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin not in ("*", "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", origin):
                raise ValueError(f"{origin!r} is not an origin such as https://example.org (no path, no final slash)")
        return origins


_FIELDS = {PREFIX + field.upper(): field for field in GatewaySettings.model_fields}


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One setting that stops the start.

    Attributes:
        name: The variable.
        message: What is wrong and what to set, one sentence.
    """

    name: str
    message: str


def load(environ: Mapping[str, str]) -> tuple[GatewaySettings, tuple[SettingProblem, ...]]:
    """Read the settings from an environment, all problems at once.

    Args:
        environ: Names and values; names that do not begin with `GATEWAY_` are left alone.

    Returns:
        The settings, and what is wrong. Where something is wrong the settings hold that field's default, so that tools
        that need no gateway (`manage.py check`, the clients) still work; a server must not start on them.
    """
    given: dict[str, str] = {}
    problems: dict[str, SettingProblem] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in CLIENT_NAMES or _KUBERNETES_NAME.fullmatch(name):
            continue
        if name in _FIELDS:
            given[_FIELDS[name]] = value
        else:
            problems[name] = _unknown(name)
    try:
        return GatewaySettings.model_validate(given), tuple(problems.values())
    except ValidationError as error:
        wrong: set[str] = set()
        for fault in error.errors():
            field = str(fault["loc"][0])
            wrong.add(field)
            name = PREFIX + field.upper()
            problems.setdefault(name, SettingProblem(name, _sentence(name, field, fault["msg"], environ)))
        rest = {field: value for field, value in given.items() if field not in wrong}
        # The only default that does not validate is the missing key. The store was checked beside a value that may now
        # be gone.
        rest.pop("history_store", None)
        usable = GatewaySettings.model_validate({"api_keys": ("unset",), **rest})
        if "api_keys" in wrong:
            usable = usable.model_copy(update={"api_keys": ()})
        return usable, tuple(problems.values())


_RULES = {
    "node_name": "it must be 1 to 255 visible ASCII characters without a comma",
    "node_host": "it must be 1 to 255 visible ASCII characters",
    "database_url": "it must be a URL such as sqlite:///gateway.sqlite3",
    "trusted_proxies": "it must be addresses or networks such as 192.0.2.1 or 10.0.0.0/8 (no bits set behind the "
    "prefix), separated by commas",
}
"""Where pydantic's own words would not tell a person what to set."""


def _unknown(name: str) -> SettingProblem:
    known = [field.upper() for field in GatewaySettings.model_fields]
    close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
    hint = f"did you mean {PREFIX}{close[0]}?" if close else "see docs/reference/settings.md for the names."
    # A name in the environment may hold any bytes; the sentence must fit any terminal and log.
    shown = ascii(name)[1:-1]
    return SettingProblem(shown, f"{shown} is not a setting of the gateway; {hint}")


def _sentence(name: str, field: str, message: str, environ: Mapping[str, str]) -> str:
    if field == "api_keys" and not environ.get(name, "").strip(", "):
        hint = " (GATEWAY_API_KEY is what clients send.)" if "GATEWAY_API_KEY" in environ else ""
        return f"{name} is not set; set it to one or more keys separated by commas.{hint}"
    message = message.removeprefix("Value error, ")
    return f"{name} has a wrong value: {_RULES.get(field, message[0].lower() + message[1:])}."
