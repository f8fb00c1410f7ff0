import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_project.client.follow import Lost
from gateway_project.client.messages import Close, Complaint, Dropped, Event, Gap, Message, Open
from gateway_project.client.terminal import event_json, event_text, notice, printable


def event(data: str, **members: str) -> Event:
    return Event.model_validate({"topics": ["news"], "id": "1", "time": "T", "data": data, **members})


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\rb", r"a\rb"),
        ("a\nb", r"a\nb"),
        ("\x9b31m", r"\x9b31m"),
        ("\x7f\x08", r"\x7f\x08"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("\ufeff\u200b", r"\ufeff\u200b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


@pytest.mark.parametrize("text", ["", "plain", "grüße, 你好, עברית", "a\tb", "👩‍💻", "\\x1b", "\u00a0"])
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text(alphabet=st.characters()))
def test_nothing_printed_controls_the_terminal(text: str) -> None:
    shown = event_text(Event.model_construct(topics=[text], id=text, event=text, time=text, data=text))
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} and c not in "\n\t"]
    # Only the event itself begins a line.
    assert all(line.startswith("    ") for line in shown.split("\n")[1:])
    shown.encode()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_json_is_one_line_of_ascii_and_loses_nothing(text: str) -> None:
    line = event_json(event(text))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "type": "event",
        "topics": ["news"],
        "id": "1",
        "event": "message",
        "data": text,
        "time": "T",
    }


def test_an_event_is_one_line() -> None:
    assert event_text(event("hello", event="greeting")) == "T  news  1  greeting  hello"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_data_of_several_lines_is_indented_below(end: str) -> None:
    assert event_text(event(f"one{end}two{end}")) == "T  news  1  message\n    one\n    two\n    "


def test_a_dropped_publish_says_so() -> None:
    dropped = Dropped(topics=["a", "b"], id="1", time="T", reason="no-subscribers")
    assert event_text(dropped) == "T  a,b  1  dropped: nobody is connected"
    assert json.loads(event_json(dropped))["type"] == "dropped"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            Open(connection="c", topics=["a", "b"], node="n"),
            "Connected to http://host (topics: a, b, connection c, node n).",
        ),
        (Open(topics=list("abcdefg")), "Connected to http://host (topics: a, b, c, d, e and 2 more)."),
        (Open(topic="a", node="n"), "Connected to http://host (topic: a, node n)."),
        (
            Gap(topic="a", missed=1, reason="slow-reader"),
            "Gap: 1 event of topic a did not arrive (slow-reader).",
        ),
        (
            Gap(topic="a", missed=2, reason="slow-reader"),
            "Gap: 2 events of topic a did not arrive (slow-reader).",
        ),
        (Gap(topic="a", reason="r"), "Gap: events (how many is unknown) of topic a did not arrive (r)."),
        (Complaint(detail="\x1b[2J"), r"The gateway complains: \x1b[2J"),
        (Lost("It broke.\x07", 1.23), r"It broke.\x07. Connecting again in 1.2 s."),
        (Lost("It broke.", 0.1), "It broke. Connecting again in 0.1 s."),
        (Close(reason="shutdown", retry=1), None),
    ],
)
def test_notices(message: Message | Lost, sentence: str | None) -> None:
    assert notice(message, "http://host") == sentence
