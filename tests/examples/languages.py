"""The examples, built with their own toolchains, as commands that can be run."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import worker
from tests.gateway import ROOT

EXAMPLES = ROOT / "examples"
BUILD_SECONDS = 900.0
"""A first build of the Rust example compiles some hundred crates, on a busy machine with few cores."""
NODE_NEEDED = (22, 18)

LANGUAGES = ("typescript", "python", "go", "rust")
ASKED_FOR = os.environ.get("EXAMPLES", "").split() or LANGUAGES
"""`EXAMPLES="go rust" make e2e` runs the tests of these alone."""


class NotRun(Exception):
    """What is missing on this machine."""


class BuildFailed(Exception):
    """The example does not build; the message ends with what the toolchain wrote."""


@dataclass(frozen=True, slots=True)
class Language:
    """A publisher and a subscriber that are built."""

    name: str
    folder: Path
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    websocket: tuple[str, ...]
    """The subscriber over a WebSocket: the other one with an option, or a program of its own."""


def _needed(program: str, *, what: str | None = None) -> str:
    found = shutil.which(program)
    if found is None:
        raise NotRun(f"not run: {what or program} is not on this machine")
    return found


def _build(folder: Path, *command: str, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)} in {folder} ended with {done.returncode}:\n{done.stdout[-8000:]}")


def _version(node: str) -> tuple[int, ...]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", told)[:2])


def _node(oldest: tuple[int, int]) -> str:
    # The machine's own, or the one that comes with the Worker's packages.
    for node in (shutil.which("node"), str(worker.OWN_NODE) if worker.OWN_NODE.exists() else None):
        if node is not None and _version(node) >= oldest:
            return node
    raise NotRun(f"not run: Node.js {oldest[0]}.{oldest[1]} or newer is not on this machine (`make worker` brings one)")


def install_node(folder: Path, oldest: tuple[int, int] = NODE_NEEDED) -> tuple[str, dict[str, str]]:
    """Install a folder's packages as locked; returns Node.js, and the environment in which npm finds it."""
    node, npm = _node(oldest), _needed("npm")
    path = {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"}
    _build(folder, npm, "ci", "--ignore-scripts", "--no-progress", "--loglevel=error", environment=path)
    return node, path


def install_python(folder: Path) -> Path:
    """Make a folder's virtual environment as locked; returns its Python."""
    python = folder / ".venv" / "bin" / "python"
    _build(folder, sys.executable, "-m", "venv", ".venv")
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    _build(folder, str(python), *install, "-r", "requirements.txt")
    return python


def _typescript(folder: Path) -> Language:
    node, path = install_node(folder)
    npm = _needed("npm")
    _build(folder, npm, "run", "--silent", "types", environment=path)
    _build(folder, npm, "run", "--silent", "lint", environment=path)
    return Language(
        "typescript", folder, (node, "publish.ts"), (node, "subscribe.ts"), (node, "subscribe.ts", "--websocket")
    )


def _python(folder: Path) -> Language:
    python = install_python(folder)
    subscribe = (str(python), "subscribe.py")
    return Language("python", folder, (str(python), "publish.py"), subscribe, (*subscribe, "--websocket"))


def _go(folder: Path) -> Language:
    _build(folder, _needed("go"), "build", "-o", "bin/", "./...")
    _build(folder, _needed("go"), "vet", "./...")
    return Language("go", folder, *_programs(folder / "bin"))


def _rust(folder: Path) -> Language:
    _build(folder, _needed("cargo"), "build", "--release", "--locked", "--quiet")
    return Language("rust", folder, *_programs(folder / "target" / "release"))


def _programs(folder: Path) -> tuple[tuple[str], tuple[str], tuple[str]]:
    return (str(folder / "publish"),), (str(folder / "subscribe"),), (str(folder / "subscribe-websocket"),)


_BUILDS = {"typescript": _typescript, "python": _python, "go": _go, "rust": _rust}


@functools.cache
def _outcome(name: str) -> Language | Exception:
    # Kept too when it is a failure: a build that fails takes as long as one that does not.
    try:
        return _BUILDS[name](EXAMPLES / name)
    except (NotRun, BuildFailed, OSError, subprocess.SubprocessError) as error:
        return error


def built(name: str) -> Language:
    """The example of a language, built once for a test run.

    Raises:
        NotRun: its toolchain is missing, or it was not asked for.
        BuildFailed: it is there, and the example does not build with it.
    """
    if name not in ASKED_FOR:
        raise NotRun(f"not run: EXAMPLES asks for {' '.join(ASKED_FOR)} alone")
    outcome = _outcome(name)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
