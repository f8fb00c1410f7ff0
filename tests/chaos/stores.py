"""The Redis of one world: one server, or a primary with a replica and three sentinels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from tests.chaos.hosts import Host
from tests.redis_server import RedisServer

PORT = 6379
SENTINEL_PORT = 26379
SENTINELS = 3
QUORUM = 2
MASTER = "chaos"
DOWN_MS = 400
"""After which a sentinel takes a silent primary for dead."""
FAILOVER_MS = 1500
SETTLE_SECONDS = 20.0


class Store:
    """One Redis server on the host of the store.

    Args:
        host: where it runs.
    """

    def __init__(self, host: Host) -> None:
        self.url = f"redis://{host.inner}:{PORT}/0"
        self.primary = _server(host, PORT)

    def stop(self) -> None:
        """End everything."""
        self.primary.__exit__()

    def start(self) -> None:
        """Start it empty."""
        self.primary.start()

    def settle(self) -> None:
        """Wait until all is as it was at the start."""

    def keys(self) -> set[str]:
        """Names of all keys that it holds."""
        with _client(self.primary) as client:
            return {name.decode() for name in client.scan_iter(count=1000)}


class SentinelStore(Store):
    """A primary with a replica and three sentinels on one host."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._host = host
        self.replica = _server(host, PORT + 1)
        self.sentinels = [_Sentinel(host, SENTINEL_PORT + number) for number in range(SENTINELS)]
        hosts = ",".join(f"{host.inner}:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/{MASTER}/0"

    def start(self) -> None:
        """Start all, and wait until the sentinels know each other and the replica."""
        self.primary.start()
        self._follow(self.replica)
        for sentinel in self.sentinels:
            sentinel.start()
            with _client(sentinel) as client:
                # The sentinels' own pace is made for hours between failovers, not seconds.
                _ask(client, "SENTINEL", "DEBUG", "INFO-PERIOD", "200")
                _ask(client, "SENTINEL", "DEBUG", "PUBLISH-PERIOD", "300")
                # A sentinel that was late for 2 s does nothing for 30: a busy machine is not what is tried here.
                _ask(client, "SENTINEL", "DEBUG", "TILT-TRIGGER", "20000")
        self.settle()

    def stop(self) -> None:
        """End everything."""
        with ExitStack() as stack:
            for server in (*self.sentinels, self.replica, self.primary):
                stack.callback(server.__exit__)

    def fail_over(self) -> None:
        """Order a failover while all is well."""
        deadline = time.monotonic() + SETTLE_SECONDS
        with _client(self.sentinels[0]) as client:
            while True:
                try:
                    _ask(client, "SENTINEL", "FAILOVER", MASTER)
                except ResponseError:
                    # NOGOODSLAVE: it has not looked at the replica for long enough.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
                else:
                    return

    def leave_replica_behind(self) -> None:
        """Have the replica take nothing more of its primary, without the sentinels' knowing."""
        with _client(self.replica) as client:
            _ask(client, "REPLICAOF", "127.0.0.1", "1")

    def wait_for_failover(self, within: float) -> None:
        """Wait until the sentinels name the other server as the primary; the two then change their names here.

        Raises:
            TimeoutError: They do not within so many seconds.
        """
        deadline = time.monotonic() + within
        while not self._has_changed():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no failover within {within:g} s: {self.describe()}")
            time.sleep(0.05)

    def wait_for_demotion(self, within: float) -> None:
        """Wait until the former primary, if it runs, follows the new one: until then it takes commands.

        When the sentinels have not seen to it within so many seconds, it is told to.
        """
        deadline = time.monotonic() + within
        while self.replica.running and not self._is_demoted():
            # On a busy machine they may take the new one for dead, too.
            if not self._has_changed() and time.monotonic() > deadline:
                with _client(self.replica) as client:
                    _ask(client, "REPLICAOF", self._host.inner, str(self.primary.port))
                    _ask(client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                    _ask(client, "CLIENT", "KILL", "TYPE", "pubsub")
                return
            time.sleep(0.05)

    def _is_demoted(self) -> bool:
        with _client(self.replica) as client:
            return bool(client.info("replication")["role"] == "slave")

    def _has_changed(self) -> bool:
        """Whether the sentinels name the other server; the two have then changed their names here."""
        if not self.replica.running or not self._is_promoted():
            return False
        self.primary, self.replica = self.replica, self.primary
        return True

    def _is_promoted(self) -> bool:
        addresses = set()
        for sentinel in self.sentinels:
            with _client(sentinel) as client:
                answer = _ask(client, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
                addresses.add(int(answer[1]))
        if addresses != {self.replica.port}:
            return False
        with _client(self.replica) as client:
            return bool(client.info("replication")["role"] == "master")

    def settle(self) -> None:
        """Have the other server follow the primary, and wait until every sentinel sees it so."""
        if not self.replica.running:
            self._follow(self.replica)
        deadline = time.monotonic() + SETTLE_SECONDS
        while not self._is_settled():
            if not self._has_changed() and time.monotonic() > deadline:
                raise TimeoutError(f"the sentinels did not settle: {self.describe()}")
            time.sleep(0.1)

    def describe(self) -> list[object]:
        """What each sentinel says of the primary and the replica."""
        return list(self._views())

    def _is_settled(self) -> bool:
        try:
            with _client(self.replica) as client:
                followed = client.info("replication")
            wanted = (self.primary.port, "master", SENTINELS - 1, [(self.replica.port, "slave")])
            return (
                followed["role"] == "slave"
                and followed["master_port"] == self.primary.port
                and followed["master_link_status"] == "up"
                and all(view == wanted for view in self._views())
            )
        except RedisError:
            return False

    def _views(self) -> Iterator[tuple[int, str, int, list[tuple[int, str]]]]:
        for sentinel in self.sentinels:
            with _client(sentinel) as client:
                master = _pairs(_ask(client, "SENTINEL", "MASTER", MASTER))
                replicas = [_pairs(item) for item in _ask(client, "SENTINEL", "REPLICAS", MASTER)]
            yield (
                int(master["port"]),
                master["flags"],
                int(master["num-other-sentinels"]),
                [(int(each["port"]), each["flags"]) for each in replicas],
            )

    def _follow(self, server: RedisServer) -> None:
        server.arguments = (*_ARGUMENTS, "--replicaof", self._host.inner, str(self.primary.port))
        server.start()
        server.arguments = _ARGUMENTS


class _Sentinel(RedisServer):
    def __init__(self, host: Host, port: int) -> None:
        super().__init__(host=host.outer, port=port, inside=host.inside)
        self._master = host.inner

    def options(self) -> list[str]:
        path = self.folder / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nprotected-mode no\ndir {self.folder}\n"
            f"sentinel announce-ip {self._master}\n"
            f"sentinel monitor {MASTER} {self._master} {PORT} {QUORUM}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MS}\n"
            f"sentinel failover-timeout {MASTER} {FAILOVER_MS}\n"
        )
        return [str(path), "--sentinel"]


_ARGUMENTS = ("--bind", "0.0.0.0", "--protected-mode", "no")  # noqa: S104 - inside a namespace of its own


def _server(host: Host, port: int) -> RedisServer:
    return RedisServer(host=host.outer, port=port, inside=host.inside, arguments=_ARGUMENTS)


@contextmanager
def _client(server: RedisServer) -> Iterator[redis.Redis]:
    client = redis.Redis(server.host, server.port, socket_timeout=2, socket_connect_timeout=2)
    try:
        yield client
    finally:
        client.close()


def _ask(client: redis.Redis, *words: str) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _pairs(answer: object) -> dict[str, str]:
    if isinstance(answer, dict):
        return {_text(name): _text(value) for name, value in answer.items()}
    assert isinstance(answer, list)
    words = [_text(word) for word in answer]
    return dict(zip(words[::2], words[1::2], strict=True))


def _text(word: object) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
