"""The first steps that `runserver` prints: each line is what a shell takes."""

import os
import shlex

import pytest

from gateway_project.development import KEY_WAS_MADE, first_steps, make_key_for_run
from topics.conf import load

URL = "http://127.0.0.1:8000"


def test_a_key_made_for_the_run_is_one_that_the_settings_take(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEWAY_API_KEYS", KEY_WAS_MADE):
        monkeypatch.setenv(name, "")
    make_key_for_run()
    first = os.environ["GATEWAY_API_KEYS"]
    make_key_for_run()
    second = os.environ["GATEWAY_API_KEYS"]
    assert first != second
    assert len(first) >= 32
    settings, problems = load({"GATEWAY_API_KEYS": first, KEY_WAS_MADE: os.environ[KEY_WAS_MADE]})
    assert (settings.api_keys, problems) == ((first,), ())


@pytest.mark.parametrize("key", ["unit-key", "it's", 'a"b', "$HOME", "`id`", "a;b", "back\\slash"])
def test_the_lines_can_be_pasted_whatever_the_key(key: str) -> None:
    intro, subscribe, publish, dashboard = first_steps(URL, key, made=True).splitlines()
    assert intro == f"API key, made for this run (set GATEWAY_API_KEYS to keep one): {key}"
    assert shlex.split(subscribe.partition(":")[2]) == ["curl", "-N", "-H", "x-sse-topic: news", f"{URL}/sse"]
    words = shlex.split(publish.partition(":")[2])
    assert words[0] == "curl"
    headers = {words[index + 1] for index, word in enumerate(words) if word == "-H"}
    assert headers == {f"authorization: Bearer {key}", "x-sse-topic: news", "x-sse-id: 1"}
    assert words[-1] == f"{URL}/publish"
    assert dashboard.endswith(f"{URL}/dashboard/")


def test_a_key_of_the_persons_own_is_not_called_made() -> None:
    assert first_steps(URL, "unit-key", made=False).splitlines()[0] == "API key: unit-key"
