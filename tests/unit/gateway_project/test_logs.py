"""What is logged: a line for a person or one JSON object, and no key in either."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
import structlog
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway_project.logs import logging_config
from tests.unit.topics.scripted import settings
from tests.unit.topics.strategies import names

FORMATS = ("json", "console")


def logger(log_format: str, *keys: str) -> tuple[logging.Logger, StringIO]:
    """Return a logger that writes through the project's own formatter."""
    config = logging_config(settings(API_KEYS=",".join(keys), LOG_FORMAT=log_format))
    formatter = dict(config["formatters"]["structured"])
    assert formatter.pop("()") is structlog.stdlib.ProcessorFormatter
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(**formatter))
    made = logging.Logger("unit.logs")
    made.addHandler(handler)
    return made, stream


class Request:
    """Something whose text shows what it carries."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"<Request {self.value!r}>"


def log_everywhere(log: logging.Logger, text: str) -> None:
    """Log a text in every place that a record has for one."""
    log.info(text)
    log.info("with %s and %r", text, text)
    log.info(
        "fields",
        extra={
            "plain": text,
            "octets": text.encode(),
            "nested": {"headers": [(b"authorization", text.encode())], text: [text, {"deep": (text,)}]},
            "thing": Request(text),
        },
    )
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise RuntimeError({"body": text}) from error
    except RuntimeError:
        log.exception("failed", extra={"text": text})


def every_text(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in every_text(one)]
    if isinstance(value, list):
        return [text for one in value for text in every_text(one)]
    return [value] if isinstance(value, str) else []


@given(st.lists(names, min_size=1, max_size=3))
@example(["unit-key"])
@example(['a"b', "back\\slash", "it's", "tab\\t"])
@example(["abc", "abcdef", "bcd"])
@example(["1", "e", '"', "{", ":"])
def test_no_key_is_in_any_line_and_json_stays_json(keys: list[str]) -> None:
    assume(not any(key in "[redacted]" and len(key) > 1 for key in keys))
    for log_format in FORMATS:
        log, stream = logger(log_format, *keys)
        for key in keys:
            log_everywhere(log, f"<<{key}>>")
        text = stream.getvalue()
        if log_format == "json":
            for line in text.splitlines():
                shown = every_text(json.loads(line))
                assert shown
                assert not any(f"<<{key}>>" in one for key in keys for one in shown)
        for key in keys:
            assert f"<<{key}>>" not in text
            assert f"<<{key!r}>>"[3:-3] not in text or len(key) < 4
            assert len(key) < 4 or key not in text.replace("[redacted]", "")


@pytest.mark.parametrize("log_format", FORMATS)
def test_of_a_key_that_begins_like_another_no_rest_is_left(log_format: str) -> None:
    log, stream = logger(log_format, "unit", "unit-k3y")
    log_everywhere(log, "<<unit-k3y>>")
    assert "k3y" not in stream.getvalue()


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "authorization: Bearer s3cr3t-of-a-stranger",
        "{'authorization': 'bearer s3cr3t-of-a-stranger'}",
        '{"authorization":"BEARER  s3cr3t-of-a-stranger"}',
        "Bearer\ts3cr3t-of-a-stranger, and more",
        "Bearer\ns3cr3t-of-a-stranger",
    ],
)
def test_tokens_of_strangers_are_not_logged_either(log_format: str, text: str) -> None:
    log, stream = logger(log_format, "unit-key")
    log_everywhere(log, text)
    assert "s3cr3t" not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


def test_a_json_line_carries_the_event_its_level_its_time_and_its_fields() -> None:
    log, stream = logger("json", "unit-key")
    log.warning("publish dropped", extra={"topics": ["a", "b"], "id": "42", "count": 3, "rate": 0.5, "none": None})
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "publish dropped",
        "level": "warning",
        "logger": "unit.logs",
        "topics": ["a", "b"],
        "id": "42",
        "count": 3,
        "rate": 0.5,
        "none": None,
    }


def test_a_traceback_is_inside_its_json_line() -> None:
    log, stream = logger("json", "unit-key")
    try:
        raise ValueError("first line\nsecond line")
    except ValueError:
        log.exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: first line\nsecond line" in json.loads(line)["exception"]


def test_a_person_sees_the_traceback_without_the_variables_of_its_frames() -> None:
    log, stream = logger("console", "unit-key")
    data_of_somebody = "a private event"
    try:
        raise ValueError(len(data_of_somebody))
    except ValueError:
        log.exception("failed")
    assert "ValueError: 15" in stream.getvalue()
    assert "a private event" not in stream.getvalue()


@given(st.text(st.characters()))
def test_any_text_makes_one_json_line(text: str) -> None:
    log, stream = logger("json", "unit-key")
    log.info("%s", text, extra={"text": text})
    (line,) = stream.getvalue().split("\n")[:-1]
    assert json.loads(line)["level"] == "info"
    line.encode("ascii")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_is_the_settings(level: str) -> None:
    config = logging_config(settings(LOG_LEVEL=level))
    assert config["root"] == {"handlers": ["stderr"], "level": level.upper()}
