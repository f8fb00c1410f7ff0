"""Where things are, what this machine is, and the programs that must be built first."""

import functools
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks"
BENCH = ROOT / ".bench"
"""What runs build and leave behind; not part of the repository."""

RESULTS = ROOT / "benchmark-results"


def prepare() -> None:
    """Make `.bench` and take every file descriptor that the system allows; servers inherit the limit."""
    # Servers run in sessions of their own: an end by SIGTERM must end them, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    (BENCH / "bin").mkdir(parents=True, exist_ok=True)
    (BENCH / ".gitignore").write_text("*\n")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def build_generator() -> Path:
    """Build the load generator.

    Raises:
        SystemExit: There is no Go, or it does not build.
    """
    program = BENCH / "bin" / "loadgen"
    _build(["go", "build", "-o", str(program), "."], HERE / "loadgen", "Go 1.21 or newer")
    return program


def build_floor() -> Path:
    """Build the floor.

    Raises:
        SystemExit: There is no C compiler, or it does not build.
    """
    program = BENCH / "bin" / "floor"
    command = ["cc", "-std=c17", "-O2", "-Wall", "-Wextra", "-o", str(program), "floor.c"]
    _build(command, HERE / "floor", "a C compiler")
    return program


def _build(command: list[str], folder: Path, needs: str) -> None:
    if shutil.which(command[0]) is None:
        raise SystemExit(f"The benchmarks need {needs}: {command[0]} was not found.")
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise SystemExit(f"{command[0]} could not build {folder.relative_to(ROOT)}.")


@functools.cache
def cores() -> tuple[int, int] | None:
    """Return one core for the server and one for the generator; None on a machine with a single one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


def pinned(command: list[str], which: int) -> list[str]:
    """Return a command that runs on the server's (0) or the generator's (1) core."""
    chosen = cores()
    if chosen is None or shutil.which("taskset") is None:
        return command
    return ["taskset", "-c", str(chosen[which]), *command]


def connection_limit() -> int:
    """Return how many connections one run can open: file descriptors and loopback ports limit it."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return min(files - 500, int(high) - int(low) - 1000)


def output_of(command: list[str], folder: Path = ROOT) -> str:
    """Return what a command prints first, on either stream; empty when it cannot run."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=30
        )
    except OSError:
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


def commit() -> str:
    """Return the commit that is checked out, with `-changed` when the tree differs from it outside this harness."""
    name = output_of(["git", "rev-parse", "--short", "HEAD"]) or "unknown"
    paths = ["gateway_project", "dashboard", "publishing", "topics", "manage.py", "requirements.txt"]
    changed = output_of(["git", "status", "--porcelain", "--untracked-files=no", "--", *paths])
    return f"{name}-changed" if changed else name


def description() -> dict[str, object]:
    """Return what matters of this machine."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = Path("/proc/meminfo").read_text().split(None, 2)[1]
    chosen = cores()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "pinned": None if chosen is None else {"server": chosen[0], "generator": chosen[1]},
        "memory_mib": int(memory) // 1024,
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "python": platform.python_version(),
        "go": output_of(["go", "version"]),
        "compiler": output_of(["cc", "--version"]),
        "connection_limit": connection_limit(),
    }
