"""What several nodes on one Redis cost and how long the way through Redis takes (`make bench-nodes`)."""

import contextlib
import secrets
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import machine, results
from benchmarks.figures import significant
from benchmarks.measurement import Report, drive
from benchmarks.peers.base import Endpoint
from benchmarks.peers.gateway import endpoint, serving
from benchmarks.rows import Row
from benchmarks.server import ServerFailed, free_port, running, scratch

SERVERS = ("daphne", "uvicorn")
PER_NODE = 1000
EVENTS_COUNTED = 200
_END = "end of the count"
READY_SECONDS = 40.0
LIMIT = 1.15
"""The largest allowed ratio of the CPU per delivery of a node in company to that of a node alone, without Redis."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One arrangement of nodes.

    Attributes:
        name: In results.
        title: In tables.
        nodes: How many on Redis; 0 is one without.
        subscribers: Of the run.
        subscribed: Numbers of the nodes that have subscribers; publishes go to node 0.
        apart: Gateways that know nothing of each other, each with its own generator: what several processes on one core
            cost before they are one gateway.
    """

    name: str
    title: str
    nodes: int
    subscribers: int
    subscribed: tuple[int, ...]
    apart: int = 1


ALONE = Setting("memory", "one node, without Redis", 0, PER_NODE, (0,))
COST = (
    ALONE,
    *(
        Setting(
            f"redis-{count}", f"{count} node{'s'[: count - 1]} on Redis", count, count * PER_NODE, tuple(range(count))
        )
        for count in (1, 2, 3)
    ),
    *(
        Setting(f"apart-{count}", f"{count} gateways without Redis, side by side", 0, PER_NODE, (0,), count)
        for count in (2, 3)
    ),
)
LATENCY = (
    Setting("alone-memory", "one node, without Redis", 0, 1, (0,)),
    Setting("alone-same", "publisher and subscriber on the same node", 2, 1, (0,)),
    Setting("alone-other", "publisher and subscriber on different nodes", 2, 1, (1,)),
)


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis server that runs.

    Attributes:
        port: Of 127.0.0.1.
        pid: Its process.
    """

    port: int
    pid: int


class Redis:
    """The few commands that are needed of a Redis server (RESP 2).

    Args:
        port: Of 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def command(self, *words: str) -> Any:
        """Send a command and return its answer."""
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        self._socket.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        return self.read()

    def read(self) -> Any:
        """Return the next answer or message.

        Raises:
            ServerFailed: It is an error.
        """
        line = self._file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        raise ServerFailed(f"Redis: {line.decode(errors='replace')}")


def run(rounds: int, seconds: float) -> results.Results:
    """Measure every setting on both servers, alternating.

    Args:
        rounds: Runs of each.
        seconds: How long each publishes.
    """
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is not installed (Debian: redis-server).")
    titles = {name: f"this gateway, {'Daphne' if name == 'daphne' else name}" for name in SERVERS}
    found = results.new("nodes", titles, rounds, seconds)
    found["cost"] = {setting.name: [] for setting in COST}
    found["latency"] = {setting.name: [] for setting in LATENCY}
    found["messages"] = {}
    with redis_server() as redis:
        for number in range(rounds):
            for part, settings in (("cost", COST), ("latency", LATENCY)):
                for setting in settings if number % 2 == 0 else settings[::-1]:
                    order = SERVERS if number % 2 == 0 else SERVERS[::-1]
                    measure = _measure if part == "latency" or setting is ALONE else _measure_beside
                    reports = {server: measure(server, setting, redis, seconds) for server in order}
                    found[part][setting.name].append(reports)
                    results.write(found)
                    _say(f"{number + 1}/{rounds} {setting.title}: {_told(reports)}")
        for server in SERVERS:
            found["messages"][server] = _messages(server, redis.port)
            _say(f"Redis messages, {server}: {found['messages'][server]}")
    return found


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis with nothing saved."""
    port = free_port()
    with scratch() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with running([*command, "--dir", str(folder)], folder=folder, port=port) as pid:
            yield RedisServer(port, pid)


@contextlib.contextmanager
def _gateway(server: str, nodes: int, redis_port: int, holders: tuple[int, ...]) -> Iterator[Endpoint]:
    key = secrets.token_urlsafe(24)
    settings = {} if nodes == 0 else {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
    with scratch() as folder, contextlib.ExitStack() as stack:
        started = []
        for number in range(max(1, nodes)):
            node = serving(server, key, folder, machine.ROOT, NODE_NAME=f"node-{number}-{key[:8]}", **settings)
            started.append(stack.enter_context(node))
        for address, _ in started:
            wait_until_ready(address)
        found = endpoint([started[number][0] for number in holders], [pid for _, pid in started], key)
        found.more["publish_address"] = started[0][0]
        yield found


def wait_until_ready(address: str) -> None:
    """Wait until a node says that it can deliver."""
    # The first nodes of a Redis that has just started wait for a time-to-live and a second.
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError):
            pass
        if time.monotonic() > deadline:
            raise ServerFailed(f"{address} is not ready after {READY_SECONDS:g} s")
        time.sleep(0.05)


def _measure(server: str, setting: Setting, redis: RedisServer, seconds: float) -> Report:
    row = Row(setting.name, setting.title, {"mode": "deliver", "subscribers": setting.subscribers}, ())
    try:
        with _gateway(server, setting.nodes, redis.port, setting.subscribed) as target:
            if setting.nodes:
                target.more["beside_pids"] = [redis.pid]
            report = drive(target, row, seconds)
    except ServerFailed as failure:
        return {"error": str(failure)}
    if setting.nodes and "events" in report:
        report["redis_cpu_us_per_event"] = report["work"].get("beside_cpu_seconds", 0.0) * 1e6 / report["events"]
    return report


def _measure_beside(server: str, setting: Setting, redis: RedisServer, seconds: float) -> Report:
    """Measure in turns with a node without Redis: in a minute the machine's clock changes by more than the goal."""
    try:
        with contextlib.ExitStack() as stack:
            alone = stack.enter_context(_gateway(server, 0, redis.port, (0,)))
            targets = [
                stack.enter_context(_gateway(server, setting.nodes, redis.port, setting.subscribed))
                for _ in range(setting.apart)
            ]
            if setting.nodes:
                targets[0].more["beside_pids"] = [redis.pid]
            turns = [
                _drive_all(each, subscribers, seconds)
                for each, subscribers in (
                    ([alone], PER_NODE),
                    (targets, setting.subscribers),
                    (targets, setting.subscribers),
                    ([alone], PER_NODE),
                )
            ]
    except ServerFailed as failure:
        return {"error": str(failure)}
    for reports in turns:
        for report in reports:
            if "error" in report:
                return report
    mine, beside = [*turns[1], *turns[2]], [*turns[0], *turns[3]]
    found = {
        "cpu_us_per_delivery": _cost(mine),
        "alone_cpu_us_per_delivery": _cost(beside),
        "events": sum(report["events"] for report in mine),
        "turns": turns,
    }
    if setting.nodes:
        spent = sum(report["work"].get("beside_cpu_seconds", 0.0) for report in mine)
        found["redis_cpu_us_per_event"] = spent * 1e6 / found["events"]
    return found


def _drive_all(targets: list[Endpoint], subscribers: int, seconds: float) -> list[Report]:
    """Drive gateways that know nothing of each other, at the same time, each with so many subscribers."""
    row = Row("cost", "", {"mode": "deliver", "subscribers": subscribers}, ())
    with ThreadPoolExecutor(len(targets)) as pool:
        return list(pool.map(lambda target: drive(target, row, seconds), targets))


def _cost(reports: list[Report]) -> float:
    spent: float = sum(report["work"]["server_cpu_seconds"] for report in reports)
    deliveries: int = sum(report["deliveries"] for report in reports)
    return spent * 1e6 / deliveries


def _messages(server: str, redis_port: int) -> dict[str, Any]:
    """Count what Redis sends of each event: three nodes, subscribers on two of them, publishes on the third."""
    redis, listener = Redis(redis_port), Redis(redis_port)
    holders = (1, 2)
    row = Row("messages", "", {"mode": "deliver", "subscribers": 20, "rate": EVENTS_COUNTED, "warm_up_rounds": 5}, ())
    try:
        with _gateway(server, 3, redis_port, holders) as target:
            # The channel's name is known once somebody subscribes: it is found by what is new.
            before = _channels(redis)
            addresses = [target.address, *target.more["more_addresses"]]
            # These stay while it is counted who listens; the generator's are gone when it ends.
            with contextlib.ExitStack() as stack:
                for address in addresses:
                    stack.enter_context(_one_subscriber(address))
                (channel,) = [name for name in _channels(redis) - before if name.endswith("bench-0")]
                listener.command("SUBSCRIBE", channel)
                listener.command("SUBSCRIBE", _END)
                report = drive(target, row, 1.0)
                events = messages = 0
                receivers = 0
                if "events" in report:
                    receivers = redis.command("PUBSUB", "NUMSUB", channel)[1] - 1
                    redis.command("PUBLISH", _END, "end")
                    # Marks of subscribers that come are no events; those begin with E.
                    while (message := listener.read())[1] != _END:
                        messages += message[2].startswith("E ")
                    events = report["events"] + row.settings["warm_up_rounds"]
    except ServerFailed as failure:
        return {"error": str(failure)}
    finally:
        redis.close()
        listener.close()
    if "error" in report:
        return {"error": report["error"]}
    return {
        "events": events,
        "published": messages,
        "nodes_that_hold_subscribers": len(holders),
        "nodes_that_receive": receivers,
        "per_event_and_holding_node": messages * receivers / (events * len(holders)),
    }


def _channels(redis: Redis) -> set[str]:
    return set(redis.command("PUBSUB", "CHANNELS", "*"))


@contextlib.contextmanager
def _one_subscriber(address: str) -> Iterator[None]:
    with urllib.request.urlopen(f"http://{address}/sse?topic=bench-0", timeout=10) as stream:
        while not stream.readline().startswith(b"data:"):
            pass
        yield


def _told(reports: dict[str, Report]) -> str:
    return ", ".join(
        f"{server} "
        + ("failed" if "error" in report else f"{significant(report['cpu_us_per_delivery'])} µs a delivery")
        for server, report in reports.items()
    )


def failed(found: results.Results) -> bool:
    """Tell whether a check failed."""
    rounds = [each for part in ("cost", "latency") for setting in found[part].values() for each in setting]
    return any("error" in report for each in [*rounds, found["messages"]] for report in each.values())


def _median(rounds: list[dict[str, Report]], server: str, *path: str) -> float | None:
    values = []
    for each in rounds:
        value: Any = each.get(server, {})
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            values.append(float(value))
    return median(values) if values else None


def _shown(value: float | None) -> str:
    return "failed" if value is None else significant(value)


def render(found: results.Results) -> str:
    """Write the tables and the goals."""
    servers: list[str] = found["peers"]
    goals = [*_cost_goals(found), *_message_goals(found)]
    return "\n".join(
        [
            "# Several nodes",
            "",
            f"Generated from the raw results; do not edit. Commit {found['commit']}, {found['date']}, "
            f"{found['machine']['processor']}. Medians of {found['rounds']} rounds.",
            "",
            "All nodes share one core with Redis. The cost of a delivery is the processor time of all nodes; that of "
            "Redis is beside it. Each arrangement took turns with one node without Redis, in the same minutes. "
            "Gateways side by side know nothing of each other: should they cost more, then by the machine, whose "
            "core and caches they share.",
            "",
            f"## One event at a time, {PER_NODE:,} SSE subscribers on each node",
            "",
            *_table(servers, found, ("CPU µs per delivery", "to one node without Redis", "Redis, CPU µs per event")),
            *[f"| {setting.title} | " + " | ".join(_cost_cells(found, setting)) + " |" for setting in COST],
            "",
            "## Publish to delivery, one event at a time, one subscriber",
            "",
            *_table(servers, found, ("p50 µs", "p99 µs")),
            *[f"| {setting.title} | " + " | ".join(_latency_cells(found, setting)) + " |" for setting in LATENCY],
            "| added by the way through Redis to another node | " + " | ".join(_added_cells(found)) + " |",
            "",
            "## Goals",
            "",
            "| what | server | goal | found | met |",
            "|---|---|---|---|---|",
            *goals,
            "",
        ]
    )


def _table(servers: list[str], found: results.Results, figures: tuple[str, ...]) -> list[str]:
    heads = [f"{found['titles'][server]}: {figure}" for server in servers for figure in figures]
    return ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]


def _cost_cells(found: results.Results, setting: Setting) -> list[str]:
    cells = []
    rounds = found["cost"][setting.name]
    for server in found["peers"]:
        cells.append(_shown(_median(rounds, server, "cpu_us_per_delivery")))
        cells.append("—" if setting is ALONE else _shown(_ratio(found["cost"], setting.name, server)))
        cells.append(_shown(_median(rounds, server, "redis_cpu_us_per_event")) if setting.nodes else "—")
    return cells


def _latency_cells(found: results.Results, setting: Setting) -> list[str]:
    rounds = found["latency"][setting.name]
    return [_shown(_median(rounds, server, "delivery_us", at)) for server in found["peers"] for at in ("p50", "p99")]


def _added_cells(found: results.Results) -> list[str]:
    cells = []
    for server in found["peers"]:
        for at in ("p50", "p99"):
            alone = _median(found["latency"]["alone-memory"], server, "delivery_us", at)
            other = _median(found["latency"]["alone-other"], server, "delivery_us", at)
            cells.append(_shown(None if alone is None or other is None else other - alone))
    return cells


def _cost_goals(found: results.Results) -> list[str]:
    lines = []
    for setting in COST:
        for server in found["peers"]:
            share = _ratio(found["cost"], setting.name, server) if setting.nodes else None
            if share is not None:
                what = f"CPU per delivery, {setting.title}, to one node without Redis"
                met = share <= LIMIT
                lines.append(_goal(what, found["titles"][server], f"≤ {LIMIT:g}", f"{share:.2f}", met=met))
    return lines


def _message_goals(found: results.Results) -> list[str]:
    what = "Redis messages per event and node that holds subscribers (2 of 3 nodes hold some)"
    return [
        _goal(what, found["titles"][server], "1", f"{each:g}", met=each == 1)
        for server, counted in found["messages"].items()
        if (each := counted.get("per_event_and_holding_node")) is not None
    ]


def _goal(what: str, server: str, goal: str, value: str, *, met: bool) -> str:
    return f"| {what} | {server} | {goal} | {value} | {'yes' if met else 'no'} |"


def _ratio(cost: dict[str, list[dict[str, Report]]], name: str, server: str) -> float | None:
    mine, alone = "cpu_us_per_delivery", "alone_cpu_us_per_delivery"
    shares = [each[server][mine] / each[server][alone] for each in cost[name] if alone in each.get(server, {})]
    return median(shares) if shares else None
