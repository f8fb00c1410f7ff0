"""Let the Autobahn fuzzing client judge our WebSockets: ``python -m tests.autobahn.run``.

It runs against the gateway's `/ws` and against an echo behind the same server layers, on Daphne and on
uvicorn, and writes `test-results/autobahn.json`. Exit code 0: no failure; 1: failures; 3: not run, for want
of what the message names.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.autobahn.fuzzing_client import HERE, REPORTS, FuzzingClient, Missing, RunFailed, find_or_install
from tests.autobahn.judge import CaseReport, Judgement, Verdict, judge_echo, judge_gateway
from tests.gateway import ROOT, GatewayFailed, RunningGateway
from tests.reporting.provenance import provenance

SERVERS = ("daphne", "uvicorn")
SUMMARY = ROOT / "test-results" / "autobahn.json"
NOT_RUN = 3


@dataclass(frozen=True)
class Target:
    """What the cases run against.

    Args:
        name: its name in the summary.
        path: path and query of the WebSocket.
        settings: the Django settings module, which says what is served there.
        judge: says what a case's report means for it.
    """

    name: str
    path: str
    settings: str
    judge: Callable[[CaseReport], Judgement]


TARGETS = (
    Target("gateway", "/ws?topic=autobahn", "gateway_project.settings", judge_gateway),
    Target("echo", "/", "tests.autobahn.echo_settings", judge_echo),
)


def run_target(client: FuzzingClient, server: str, target: Target, cases: dict[str, Any]) -> dict[str, Any]:
    """Start *server* with *target*, run the cases, stop it; returns this run's part of the summary.

    Raises:
        GatewayFailed: the server did not start.
        RunFailed: not every case ran.
    """
    began = time.monotonic()
    environment = {"DJANGO_SETTINGS_MODULE": target.settings}
    agent = f"{server}-{target.name}"
    with RunningGateway(server, environment) as gateway:
        url = gateway.url.replace("http://", "ws://", 1) + target.path
        try:
            reports = client.run(agent, url, cases)
        finally:
            running = gateway.running
            exit_code = gateway.stop()
            (REPORTS / agent / "server.log").write_text(gateway.log)
    summary = summarize(reports, target.judge)
    if not running or exit_code:
        summary["failed"].append({"case": "server", "reason": f"ended with {exit_code}"})
    errors = [str(entry.get("event")) for entry in gateway.logs if entry.get("level") in ("error", "critical")]
    errors += [line for line in gateway.lines if line.startswith("Traceback (most recent call last)")]
    if errors:
        summary["failed"].append({"case": "server", "reason": f"{len(errors)} logged errors, the first: {errors[0]}"})
    return {"server": server, "target": target.name, "seconds": round(time.monotonic() - began, 1), **summary}


def summarize(reports: dict[str, CaseReport], judge: Callable[[CaseReport], Judgement]) -> dict[str, Any]:
    """Count what the fuzzing client said and what *judge* makes of it, and list the failures."""
    judgements = {number: judge(report) for number, report in reports.items()}
    failed = [
        {
            "case": number,
            "description": " ".join(reports[number]["description"].split())[:200],
            "behavior": reports[number]["behavior"],
            "behavior_close": reports[number]["behaviorClose"],
            "reason": judgement.reason,
        }
        for number, judgement in judgements.items()
        if judgement.verdict is Verdict.FAILED
    ]
    return {
        "cases": len(reports),
        "behavior": _counted(report["behavior"] for report in reports.values()),
        "behavior_close": _counted(report["behaviorClose"] for report in reports.values()),
        "verdict": dict.fromkeys(Verdict, 0) | _counted(judged.verdict for judged in judgements.values()),
        "failed": failed,
    }


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def describe_run(client: FuzzingClient, cases: dict[str, Any]) -> dict[str, Any]:
    """Say when, of which commit and with which versions the cases run."""
    return {
        **provenance(),
        "cases": cases["cases"],
        "fuzzing_client": client.versions(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; see the module for the exit codes."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--target", nargs="+", choices=[target.name for target in TARGETS], default=["gateway", "echo"])
    parser.add_argument("--cases", nargs="+", metavar="PATTERN", help='for example "7.*"; such a run writes no summary')
    options = parser.parse_args(arguments)
    cases = json.loads((HERE / "cases.json").read_text())
    if options.cases:
        cases["cases"] = options.cases
    try:
        client = find_or_install()
    except Missing as error:
        print(f"not run: {error}", file=sys.stderr)
        return NOT_RUN
    summary = describe_run(client, cases)
    wanted = [(server, target) for target in TARGETS for server in options.server if target.name in options.target]
    try:
        # Nearly all of the time goes by in the fuzzing client's waits: the runs do not disturb each other.
        with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            runs = [pool.submit(run_target, client, server, target, cases) for server, target in wanted]
            results = [run.result() for run in runs]
    except (GatewayFailed, RunFailed) as error:
        print(error, file=sys.stderr)
        return 1
    for result in results:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in result["verdict"].items())
        print(f"{result['server']} {result['target']}: {counts} ({result['seconds']} s)")
        for failure in result["failed"]:
            print(f"  {failure['case']}: {failure['reason']}")
    if options.cases or len(wanted) < len(SERVERS) * len(TARGETS):
        print("part of the cases only: no summary written")
    else:
        SUMMARY.parent.mkdir(exist_ok=True)
        SUMMARY.write_text(json.dumps(summary | {"runs": results}, indent=2, ensure_ascii=False) + "\n")
        print(f"wrote {SUMMARY.relative_to(ROOT)}")
    return 1 if any(result["failed"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
