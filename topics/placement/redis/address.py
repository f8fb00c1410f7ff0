"""Where Redis is: `redis://`, `rediss://`, `unix://`, and Redis behind Sentinel as `redis+sentinel://`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from topics.placement.redis.patience import SOCKET_SECONDS
from topics.placement.redis.sentinels import Belief, Followed, MasterPool, Sentinels

SENTINEL_PORT = 26379


OnConnect = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis.

    Attributes:
        url: As it was given.
        database: Number of the database.
        sentinels: Hosts and ports; empty without Sentinel.
        master: Name under which the sentinels know it.
        options: User, password and, for Sentinel over TLS, `ssl`.
        belief: Where the master is, as far as this node knows.
    """

    url: str
    database: int
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    belief: Belief = field(default_factory=Belief, compare=False)

    def client(self, on_connect: OnConnect) -> Redis:
        """Return a client that says soon when Redis is away, and repeats nothing by itself.

        Args:
            on_connect: Prepares each new connection, before its first command.
        """
        if not self.sentinels:
            return Redis.from_pool(ConnectionPool.from_url(self.url, **_timeouts(), redis_connect_func=on_connect))

        async def connected(connection: Connection) -> None:
            await on_connect(connection)
            pool.must_be_to_master(connection)

        pool = MasterPool(  # type: ignore[no-untyped-call]
            self.master,
            Sentinels(self.sentinels, self.belief, _timeouts()),
            db=self.database,
            **dict(self.options),
            **_timeouts(),
            redis_connect_func=connected,
        )
        return Redis.from_pool(pool)

    def follow(self, client: Redis) -> None:
        """Have a client that was made of `layer_host` go to the master that those of `client` have found."""
        if isinstance(client.connection_pool, SentinelConnectionPool):
            client.connection_pool.sentinel_manager = Followed(self.belief)

    def layer_host(self, on_connect: OnConnect) -> dict[str, Any]:
        """Return the same as an entry of channels-redis' `hosts`."""
        host: dict[str, Any] = {**_timeouts(), "redis_connect_func": on_connect}
        if self.sentinels:
            return {
                **host,
                **dict(self.options),
                "master_name": self.master,
                "sentinels": list(self.sentinels),
                "sentinel_kwargs": _timeouts(),
                "db": self.database,
            }
        return {**host, "address": self.url}


def sentinels_of(client: Redis) -> list[Redis]:
    """Return the clients of the sentinels that a client asks; redis-py leaves it to others to close them."""
    found: list[Redis] = getattr(getattr(client.connection_pool, "sentinel_manager", None), "sentinels", [])
    return found


def parse_address(url: str) -> Address:
    """Read an URL.

    Args:
        url: `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, `unix://path`, or
            `redis+sentinel://[user:password@]host[:port],host[:port]…/master[/database]` (`rediss+sentinel://…`).

    Raises:
        ValueError: It is none of these; the message says what is wrong.
    """
    parts = urlsplit(url)
    if parts.scheme in ("redis+sentinel", "rediss+sentinel"):
        return _sentinel_address(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it must begin with redis://, rediss://, unix:// or redis+sentinel://")
    # redis-py reads the same places, the query first.
    database = dict(parse_qsl(parts.query)).get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/"))
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("what follows the host must be the number of a database")
    _ = parts.port
    return Address(url, int(database or 0))


def _sentinel_address(url: str) -> Address:
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    master, _, database = path.partition("/")
    sentinels: list[tuple[str, int]] = []
    for item in hosts.split(","):
        host, _, port = item.rpartition(":") if ":" in item.rpartition("]")[2] else (item, "", str(SENTINEL_PORT))
        if not host or not port.isdigit():
            raise ValueError("the sentinels must be host:port, separated by commas")
        sentinels.append((host.strip("[]"), int(port)))
    if not master:
        raise ValueError("the master's name must follow the sentinels: redis+sentinel://host:26379/name")
    if database and not database.isdigit():
        raise ValueError("what follows the master's name must be the number of a database")
    options: dict[str, Any] = {}
    if credentials:
        user, _, password = credentials.partition(":")
        options["password"] = unquote(password)
        if user:
            options["username"] = unquote(user)
    if scheme == "rediss+sentinel":
        options["ssl"] = True
    return Address(url, int(database or 0), tuple(sentinels), master, tuple(options.items()))


def _timeouts() -> dict[str, Any]:
    return {
        "socket_connect_timeout": SOCKET_SECONDS,
        "socket_timeout": SOCKET_SECONDS,
        # A script that was sent twice would publish twice.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
