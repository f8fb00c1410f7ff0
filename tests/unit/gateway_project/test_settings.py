"""Where the settings come from, and what each way to start says when they are wrong: in processes of their own."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.gateway_project.copies import Ended, copy_project, run_python

NO_KEY = "GATEWAY_API_KEYS is not set; set it to one or more keys separated by commas."
SHOW = "from gateway_project.settings import GATEWAY as g, GATEWAY_PROBLEMS as p; print(g.api_keys, g.max_topics, p)"


class Runs:
    """Processes that are started together, so that nobody waits for one after the other."""

    def __init__(self, project: Path, pool: ThreadPoolExecutor) -> None:
        def start(*arguments: str, **variables: str) -> "Future[Ended]":
            return pool.submit(run_python, project, *arguments, **variables)

        (project / ".env").write_text("GATEWAY_API_KEYS=not a key\nGATEWAY_MAX_TOPICS=7\n")
        self.both = start("-c", SHOW, GATEWAY_API_KEYS="from-environment")
        self.application = start("-c", "import gateway_project.asgi", GATEWAY_API_KEYS="", GATEWAY_MAX_TOPICS="0")
        self.serve = start("manage.py", "serve", "--port", "0", GATEWAY_API_KEYS="")
        runserver = ("manage.py", "runserver", "--noreload", "0")
        self.runserver = start(*runserver, GATEWAY_API_KEYS="", GATEWAY_SLOW_READER="ignore")
        self.kept = start(*runserver)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with ThreadPoolExecutor() as pool:
        yield Runs(copy_project(tmp_path_factory.mktemp("project")), pool)


def test_the_file_is_read_and_the_environment_wins(runs: Runs) -> None:
    assert runs.both.result().stdout == "('from-environment',) 7 ()\n"


def test_the_application_does_not_load_on_wrong_settings(runs: Runs) -> None:
    ended = runs.application.result()
    assert ended.returncode == 1
    assert NO_KEY in ended.stderr.splitlines()
    assert "GATEWAY_MAX_TOPICS has a wrong value" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_serve_says_a_sentence_and_ends(runs: Runs) -> None:
    ended = runs.serve.result()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"CommandError: {NO_KEY}\n"


def test_runserver_makes_a_key_but_does_not_start_on_wrong_settings(runs: Runs) -> None:
    ended = runs.runserver.result()
    assert ended.returncode == 1
    assert "CommandError: GATEWAY_SLOW_READER has a wrong value: input should be 'disconnect' or" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert NO_KEY not in ended.stderr


def test_runserver_does_not_replace_a_key_of_the_file(runs: Runs) -> None:
    ended = runs.kept.result()
    assert ended.returncode == 1
    assert "CommandError: GATEWAY_API_KEYS has a wrong value: a key must be visible ASCII characters." in ended.stderr
