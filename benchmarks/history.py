"""What history costs: a replay beside a live subscriber, and topics without history against a commit from before."""

import contextlib
import json
import secrets
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import machine, results
from benchmarks.figures import significant
from benchmarks.live import Live
from benchmarks.measurement import Report, measure
from benchmarks.nodes import redis_server, wait_until_ready
from benchmarks.peers.gateway import Gateway, serving
from benchmarks.rows import ROWS
from benchmarks.server import ServerFailed, family, scratch

SERVERS = ("daphne", "uvicorn")
STORES = ("memory", "redis")
BEFORE = "27c2b26"
"""The last commit that knew no history."""

KEPT = 100_000
TOPIC = "bench-0"
RATE = 200.0
"""Live events a second."""
BATCH = 100
"""Events of one request: small, so that what they leave behind in the allocator does not hide what a replay takes."""
MEMORY_LIMIT = 16 * 1_048_576
LATENCY_LIMIT = 2.0
FAN_OUT_LIMIT = 1.03
FAN_OUT_ROWS = ("fan-out-1000", "single")


def run(rounds: int, seconds: float, before: str) -> results.Results:
    """Measure replays on both servers and stores, then topics without history against an earlier commit.

    Args:
        rounds: Of each, alternating.
        seconds: How long the live subscriber is alone in each round, and how long a fan-out publishes.
        before: The earlier commit.
    """
    titles = {server: f"this gateway, {'Daphne' if server == 'daphne' else server}" for server in SERVERS}
    found = results.new("history", titles, rounds, seconds)
    found |= {
        "kept": KEPT,
        "rate": RATE,
        "before": before,
        "replay": {},
        "fan_out": {name: [] for name in FAN_OUT_ROWS},
    }
    for store in STORES:
        if store == "redis" and shutil.which("redis-server") is None:
            _say("redis: not run: redis-server is not installed")
            continue
        found["replay"][store] = {server: _replays(server, store, rounds, seconds) for server in SERVERS}
        for server, report in found["replay"][store].items():
            _say(f"replay, {store}, {server}: {_told(report)}")
        results.write(found)
    with _tree(before) as folder:
        for number in range(rounds):
            for name in FAN_OUT_ROWS:
                found["fan_out"][name].append(_fan_out(name, folder, seconds, backwards=number % 2 == 1))
                results.write(found)
            _say(f"{number + 1}/{rounds} fan-out: {_told_ratios(found)}")
    return found


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _replays(server: str, store: str, rounds: int, seconds: float) -> Report:
    key = secrets.token_urlsafe(24)
    settings = {"HISTORY": f"{TOPIC}={10 * KEPT}", "HISTORY_STORE": store, "HISTORY_BYTES": str(1 << 30)}
    try:
        with contextlib.ExitStack() as stack:
            if store == "redis":
                settings["REDIS_URL"] = f"redis://127.0.0.1:{stack.enter_context(redis_server()).port}/0"
            folder = stack.enter_context(scratch())
            address, pid = stack.enter_context(serving(server, key, folder, machine.ROOT, **settings))
            wait_until_ready(address)
            _fill(address, key)
            live = Live(address, key, TOPIC, RATE)
            stack.callback(live.close)
            live.usual(1.0)  # what the first events bring into being
            return {"rounds": [_replay(live, pid, seconds) for _ in range(rounds)]}
    except ServerFailed as failure:
        return {"error": str(failure)}


def _replay(live: Live, pid: int, seconds: float) -> dict[str, float]:
    usual = live.usual(seconds)
    resident = _memory(pid, "VmRSS")
    for each in family(pid):
        Path(f"/proc/{each}/clear_refs").write_text("5")  # the highest resident size counts anew (proc_pid_clear_refs)
    replay = live.replay(KEPT)
    return {
        "usual_p50_us": _percentile(usual, 0.5),
        "usual_p99_us": _percentile(usual, 0.99),
        "during_p50_us": _percentile(replay.latencies, 0.5),
        "during_p99_us": _percentile(replay.latencies, 0.99),
        "live_events_during": len(replay.latencies),
        "replay_seconds": round(replay.seconds, 3),
        "replay_bytes": replay.bytes,
        "memory_bytes": _memory(pid, "VmHWM") - resident,
    }


def _percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(1e6 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else float("nan")


def _memory(pid: int, name: str) -> int:
    found = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                found += int(line.split()[1]) * 1024
    return found


def _fill(address: str, key: str) -> None:
    for start in range(1, KEPT + 1, BATCH):
        events = [
            {"topics": [TOPIC], "id": f"kept-{number}", "data": f"{number} ".ljust(200, "x")}
            for number in range(start, start + BATCH)
        ]
        request = urllib.request.Request(
            f"http://{address}/api/v1/publish/batch",
            json.dumps({"events": events}).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)["results"]
        if any(result["status"] != 200 for result in found):
            raise ServerFailed(f"a batch was answered {found[0]}")


class _Earlier(Gateway):
    """The gateway of another commit."""

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server)
        self.name = f"before-{server}"
        self.root = folder


@contextlib.contextmanager
def _tree(commit: str) -> Iterator[Path]:
    with scratch() as folder:
        archive = subprocess.run(["git", "archive", commit], cwd=machine.ROOT, capture_output=True, check=False)
        if archive.returncode:
            raise SystemExit(f"There is no commit {commit} here: {archive.stderr.decode(errors='replace')[:200]}")
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
        yield folder


def _fan_out(name: str, folder: Path, seconds: float, *, backwards: bool) -> dict[str, Report]:
    peers = [peer for server in SERVERS for peer in (Gateway(server), _Earlier(server, folder))]
    return {peer.name: measure(peer, ROWS[name], seconds) for peer in (peers[::-1] if backwards else peers)}


def _ratio(found: results.Results, name: str, server: str) -> float | None:
    figure = ROWS[name].figures[0]
    ratios = []
    for reports in found["fan_out"][name]:
        now, before = (figure.of(reports.get(f"{who}-{server}", {})) for who in ("gateway", "before"))
        if now is not None and before:
            ratios.append(now / before)
    return median(ratios) if ratios else None


def _told(report: Report) -> str:
    if "error" in report:
        return f"failed: {report['error'][:300]}"
    figures = _replay_figures(report)
    return (
        f"{figures['memory'] / 1_048_576:.1f} MiB, live p99 {significant(figures['during'])} µs beside "
        f"{significant(figures['usual'])} usually ({figures['ratio']:.2f}), {figures['seconds']:.1f} s"
    )


def _told_ratios(found: results.Results) -> str:
    ratios = {(name, server): _ratio(found, name, server) for name in FAN_OUT_ROWS for server in SERVERS}
    return ", ".join(
        f"{name} {server} {'failed' if ratio is None else f'{ratio:.3f}'}" for (name, server), ratio in ratios.items()
    )


def _replay_figures(report: Report) -> dict[str, float]:
    rounds: list[dict[str, float]] = report["rounds"]
    return {
        "memory": max(each["memory_bytes"] for each in rounds),
        "usual": median(each["usual_p99_us"] for each in rounds),
        "during": median(each["during_p99_us"] for each in rounds),
        "ratio": median(each["during_p99_us"] / each["usual_p99_us"] for each in rounds),
        "seconds": median(each["replay_seconds"] for each in rounds),
    }


def failed(found: results.Results) -> bool:
    """Tell whether a check failed."""
    replays = [report for servers in found["replay"].values() for report in servers.values()]
    fan_outs = [report for rounds in found["fan_out"].values() for reports in rounds for report in reports.values()]
    return any("error" in report for report in [*replays, *fan_outs])


def render(found: results.Results) -> str:
    """Write the tables and the goals."""
    lines = [
        "# History",
        "",
        f"Generated from the raw results; do not edit. Commit {found['commit']}, {found['date']}, "
        f"{found['machine']['processor']}. {found['rounds']} rounds.",
        "",
        f"## One client comes back for {found['kept']:,} events of 200 bytes",
        "",
        f"Beside it a live subscriber of the same topic, at {found['rate']:g} events a second. Its latency counts from "
        "when an event was due. Memory is the server's highest resident size during the replay above that before it, "
        "of all rounds the most; the others are medians.",
        "",
        "| history in | server | memory, MiB | live p99 usually, µs | live p99 meanwhile, µs | replay, s |",
        "|---|---|---|---|---|---|",
    ]
    goals: list[str] = []
    for store, servers in found["replay"].items():
        for server, report in servers.items():
            title = found["titles"][server]
            if "error" in report:
                lines.append(f"| {store} | {title} | failed | | | |")
                continue
            figures = _replay_figures(report)
            memory = figures["memory"] / 1_048_576
            lines.append(
                f"| {store} | {title} | {memory:.1f} | {significant(figures['usual'])} | "
                f"{significant(figures['during'])} | {figures['seconds']:.2f} |"
            )
            goals += [
                _goal(
                    f"memory of a replay, {store}",
                    title,
                    "< 16 MiB",
                    f"{memory:.1f} MiB",
                    met=figures["memory"] < MEMORY_LIMIT,
                ),
                _goal(
                    f"live p99 during a replay to its usual one, {store}",
                    title,
                    f"≤ {LATENCY_LIMIT:g}",
                    f"{figures['ratio']:.2f}",
                    met=figures["ratio"] <= LATENCY_LIMIT,
                ),
            ]
    lines += ["", f"## Topics without history, to commit {found['before']}", ""]
    lines += ["| row | server | CPU to the earlier commit |", "|---|---|---|"]
    for name in found["fan_out"]:
        for server in found["peers"]:
            ratio = _ratio(found, name, server)
            shown = "failed" if ratio is None else f"{ratio:.3f}"
            lines.append(f"| {ROWS[name].title} | {found['titles'][server]} | {shown} |")
            if name == FAN_OUT_ROWS[0] and ratio is not None:
                what = "CPU per delivery of a topic without history, to before"
                goals.append(_goal(what, found["titles"][server], "< 1.03", shown, met=ratio < FAN_OUT_LIMIT))
    return "\n".join(
        [*lines, "", "## Goals", "", "| what | server | goal | found | met |", "|---|---|---|---|---|", *goals, ""]
    )


def _goal(what: str, server: str, goal: str, value: str, *, met: bool) -> str:
    return f"| {what} | {server} | {goal} | {value} | {'yes' if met else 'no'} |"
