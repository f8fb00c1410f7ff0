"""The examples in examples/publish, run: a shell script, FastAPI, Django and Express publish to a real gateway."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

import httpx
import pytest

from tests.examples.languages import EXAMPLES, NotRun, install_node, install_python
from tests.examples.stage import Call, Stage
from tests.gateway import RunningGateway, inherited_environment

FOLDER = EXAMPLES / "publish"
SECONDS = 60.0
BUSY = {"type": "/problems/unavailable", "title": "The gateway cannot answer truthfully now", "detail": "Try again."}

FRAMEWORKS = ("fastapi", "django", "express")

# With the first test of a framework its packages are installed.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with RunningGateway(history="*=100") as gateway:
        yield gateway


@functools.cache
def command(framework: str) -> tuple[str, ...]:
    """What runs the example of a framework on the port in the variable PORT, once its packages are installed."""
    if framework == "express":
        node, _ = install_node(FOLDER, (20, 0))
        return node, "express_app.js"
    python = str(install_python(FOLDER))
    if framework == "fastapi":
        return python, "-m", "uvicorn", "--port", "PORT", "fastapi_app:app"
    return python, "django_app.py", "runserver", "127.0.0.1:PORT", "--noreload"


def environment(url: str, key: str, **more: str) -> dict[str, str]:
    """This process's environment, with the gateway's address and key."""
    return inherited_environment() | {"GATEWAY_URL": url, "GATEWAY_API_KEY": key, "PYTHONUNBUFFERED": "1"} | more


@contextlib.contextmanager
def application(framework: str, url: str, key: str) -> Iterator[str]:
    """The address of a framework's example, while it runs."""
    try:
        arguments = command(framework)
    except NotRun as missing:
        pytest.skip(str(missing))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    arguments = tuple(argument.replace("PORT", port) for argument in arguments)
    with _child(arguments, environment(url, key, PORT=port)) as process:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(address, trust_env=False)
                break
            assert process.poll() is None, f"{framework} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{framework} does not listen after {SECONDS:g} s"
            time.sleep(0.05)
        yield address


@contextlib.contextmanager
def _child(arguments: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(arguments, cwd=FOLDER, env=dict(env), stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def kept(gateway: RunningGateway, topic: str, at_least: int) -> list[dict[str, object]]:
    """What the gateway keeps of a topic, newest first, as soon as it is enough."""
    headers = {"authorization": f"Bearer {gateway.key}"}
    deadline = time.monotonic() + SECONDS
    while True:
        answer = httpx.get(f"{gateway.url}/api/v1/topics/{topic}/events", headers=headers, trust_env=False)
        items: list[dict[str, object]] = answer.json().get("items", [])
        if len(items) >= at_least:
            return items
        assert time.monotonic() < deadline, (topic, answer.text, gateway.log)
        time.sleep(0.05)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_order_is_published_when_it_is_paid(framework: str, gateway: RunningGateway) -> None:
    total = len(_orders(gateway))
    with application(framework, gateway.url, gateway.key) as address:
        answer = httpx.post(f"{address}/orders/7/pay", trust_env=False, timeout=SECONDS)
        assert (answer.status_code, answer.json()["state"]) == (200, "paid")
        event = kept(gateway, "orders", total + 1)[0]
        assert (event["event"], json.loads(str(event["data"]))) == ("paid", {"order": 7, "state": "paid"})
        if framework == "django":
            answer = httpx.post(f"{address}/shout/of-django", content="Grüße", trust_env=False, timeout=SECONDS)
            assert answer.json() == {"subscribers": 0}
            assert kept(gateway, "of-django", 1)[0]["data"] == "Grüße"
    assert len(_orders(gateway)) == total + 1


def _orders(gateway: RunningGateway) -> list[dict[str, object]]:
    return kept(gateway, "orders", 0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_is_tried_again_with_the_same_id(framework: str) -> None:
    def taken(call: Call) -> None:
        call.answer(200, {"id": call.headers.get("x-sse-id"), "subscribers": 3, "topics": {"orders": 3}})

    with Stage(_busy, taken) as stage, application(framework, stage.url, "a-key") as address:
        assert httpx.post(f"{address}/orders/7/pay", trust_env=False, timeout=SECONDS).status_code == 200
        first, second = stage.called(2)
        assert second.at - first.at >= 1
        assert first.headers.get("x-sse-id") == second.headers.get("x-sse-id")
        assert first.headers.get("authorization") == "Bearer a-key"
        assert first.body == second.body


def _busy(call: Call) -> None:
    call.answer(503, BUSY, {"retry-after": "1"})


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_the_shell_script(gateway: RunningGateway) -> None:
    def run(topic: str, *arguments: str, key: str = gateway.key) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["./publish.sh", topic, *arguments],
            cwd=FOLDER,
            env=environment(gateway.url, key),
            input="two\nlines & Grüße".encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    done = run("of-shell", "greeting")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["topics"] == {"of-shell": 0}
    event = kept(gateway, "of-shell", 1)[0]
    assert (event["event"], event["data"]) == ("greeting", "two\nlines & Grüße")
    refused = run("of-shell", key="wrong")
    assert refused.returncode != 0
    assert json.loads(refused.stdout)["status"] == 401
    assert run("of-shell", key="").returncode != 0
    with Stage(_busy, lambda call: call.answer(204)) as stage:
        gateway_is_busy = environment(stage.url, "a-key")
        command = ["./publish.sh", "of-shell"]
        again = subprocess.run(command, cwd=FOLDER, env=gateway_is_busy, input=b"x", capture_output=True, check=False)
        assert again.returncode == 0, again.stderr
        first, second = stage.called(2)
        assert first.headers.get("x-sse-id") == second.headers.get("x-sse-id")
