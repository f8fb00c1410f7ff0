"""The Autobahn fuzzing client: found or installed below the repository, and run.

It needs Python 2.7. Nothing is installed outside `.autobahn/`, which git ignores.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gateway import ROOT

HERE = Path(__file__).resolve().parent
PLACE = ROOT / ".autobahn"
"""Where the environment and the reports go."""

REPORTS = PLACE / "reports"

PYTHON_VARIABLE = "AUTOBAHN_PYTHON"
INSTALL_SECONDS = 600
RUN_SECONDS = 1200


class Missing(Exception):
    """Something that the fuzzing client needs is not here; the message says what, and what to do."""


class RunFailed(Exception):
    """The fuzzing client did not finish its cases; the message says why."""


@dataclass(frozen=True)
class FuzzingClient:
    """An installed `wstest`.

    Args:
        python: the Python 2.7 interpreter of its virtual environment.
    """

    python: Path

    def versions(self) -> dict[str, str]:
        """The versions of what runs the cases, by name."""
        script = (
            "import json, platform, pkg_resources as p; print(json.dumps(dict("
            "[(n, p.get_distribution(n).version) for n in ('autobahntestsuite', 'autobahn', 'twisted')],"
            " python=platform.python_version())))"
        )
        done = subprocess.run(
            [str(self.python), "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
        )
        versions: dict[str, str] = json.loads(done.stdout)
        return versions

    def run(self, agent: str, url: str, cases: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Run *cases* against *url*.

        Args:
            agent: names the run in its reports, `.autobahn/reports/<agent>/`.
            url: a `ws://` address.
            cases: which cases, in the fuzzing client's own words: `cases.json`.

        Returns:
            Every case's report by its number, in the order in which they ran.

        Raises:
            RunFailed: it ended badly, took more than 20 minutes, or left cases out.
        """
        place = REPORTS / agent
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        specification = place / "fuzzingclient.json"
        servers = [{"agent": agent, "url": url}]
        specification.write_text(json.dumps({"outdir": str(place), "servers": servers, **cases}, indent=2))
        command = [str(self.python), "-W", "ignore", str(self.python.parent / "wstest")]
        log = place / "wstest.log"
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    [*command, "--mode", "fuzzingclient", "--spec", str(specification)],
                    cwd=place,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=RUN_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise RunFailed(f"the fuzzing client took more than {RUN_SECONDS} s: {log}") from error
        if done.returncode:
            raise RunFailed(f"the fuzzing client ended with {done.returncode}: {log}")
        return _read_reports(place, agent, planned=_planned_cases(log))


def _planned_cases(log: Path) -> int:
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("Ok, will run "):
            return int(line.split()[3])
    raise RunFailed(f"the fuzzing client did not say how many cases it runs: {log}")


def _read_reports(place: Path, agent: str, planned: int) -> dict[str, dict[str, Any]]:
    index = json.loads((place / "index.json").read_text()).get(agent, {})
    # A server that cannot be reached any more ends the run without an error.
    if len(index) != planned:
        raise RunFailed(f"{len(index)} of {planned} cases ran against {agent}: did the server end?")
    ordered = sorted(index, key=lambda number: [int(part) for part in number.split(".")])
    return {number: json.loads((place / index[number]["reportfile"]).read_text()) for number in ordered}


def find_or_install() -> FuzzingClient:
    """Return the fuzzing client below `.autobahn/`, made there first if need be.

    Raises:
        Missing: there is no Python 2.7, or the installation failed.
    """
    python = PLACE / "py27" / "bin" / "python"
    complete = PLACE / "py27" / "complete"
    wanted = (HERE / "requirements-py27.txt").read_text()
    if complete.is_file() and complete.read_text() == wanted:
        return FuzzingClient(python)
    interpreter = _find_python27()
    print(f"installing the fuzzing client for {interpreter} into {PLACE}", flush=True)
    PLACE.mkdir(exist_ok=True)
    (PLACE / ".gitignore").write_text("*\n")
    installer = PLACE / "installer"
    # Python 2.7 has no venv, and Python 3's does not make environments for it.
    _run_or_missing(sys.executable, "-m", "venv", "--clear", str(installer))
    requirements = ("--disable-pip-version-check", "--quiet", "--require-hashes", "--requirement")
    pip_install = ("-m", "pip", "install", *requirements)
    _run_or_missing(str(installer / "bin" / "python"), *pip_install, str(HERE / "requirements-virtualenv.txt"))
    _run_or_missing(
        str(installer / "bin" / "python"),
        "-m",
        "virtualenv",
        "--clear",
        "--python",
        interpreter,
        str(PLACE / "py27"),
    )
    _run_or_missing(str(python), *pip_install, str(HERE / "requirements-py27.txt"))
    complete.write_text(wanted)
    return FuzzingClient(python)


def _find_python27() -> str:
    tried = []
    for candidate in _candidates():
        tried.append(candidate)
        if _is_python27(candidate):
            return candidate
    raise Missing(
        "Python 2.7 is missing, which the Autobahn fuzzing client (autobahntestsuite 0.8.2) needs. Debian 12 "
        "has no package of it; `pyenv install 2.7.18` makes one, and CPython 2.7 or PyPy 2.7 from anywhere "
        f"else will do. Put its path into {PYTHON_VARIABLE}. Tried: {', '.join(tried)}."
    )


def _candidates() -> Iterator[str]:
    if given := os.environ.get(PYTHON_VARIABLE):
        yield given
        return
    yield from ("python2.7", "python2", "pypy")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield str(pyenv / "versions" / "2.7.*")
    yield from (str(found / "bin" / "python2.7") for found in sorted(pyenv.glob("versions/2.7.*"), reverse=True))


def _is_python27(candidate: str) -> bool:
    try:
        # pyenv's `python2.7` is there even when no such version is chosen: only running it tells.
        done = subprocess.run(
            [candidate, "-c", "import sys; print(sys.version_info[:2] == (2, 7))"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return done.stdout.strip() == "True"


def _run_or_missing(*command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"`{' '.join(command)}` took more than {INSTALL_SECONDS} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Missing(
            f"`{' '.join(command)}` ended with {done.returncode}. It needs the Python package index and, "
            f"for Python 2.7, a C compiler where no wheel is found.\n{tail}"
        )
