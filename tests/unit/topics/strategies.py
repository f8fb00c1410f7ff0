"""What Hypothesis makes for these tests: names that the rules allow, texts that try the encoders, and events."""

import string

from hypothesis import strategies as st

from topics.events import Event

# Contract §1: visible ASCII without the comma. Written out here, not taken from the source.
NAME_CHARACTERS = "".join(sorted(set(string.ascii_letters + string.digits + string.punctuation) - {","}))

names = st.text(NAME_CHARACTERS, min_size=1, max_size=255)

event_types = names.filter(lambda name: not name.startswith("gateway.") and name != "message")

texts = st.one_of(
    st.text(),
    # What ends lines here and elsewhere, what looks like a field, what strips or shifts.
    st.lists(
        st.sampled_from(
            [
                "\r", "\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\x00", "\ufeff",
                " ", "  ", ":", "data: x", "id: 9", "event: gateway.close", "retry: 1", "é", "😀", "\x7f", '"', "\\",
            ]
        )
    ).map("".join),
)  # fmt: skip

events = st.builds(
    Event,
    topics=st.lists(names, min_size=1, max_size=4, unique=True).map(tuple),
    id=names,
    data=texts,
    event=st.none() | event_types,
    retry=st.none() | st.integers(0, 86_400_000),
    # Whole microseconds of some century that clients may live in.
    time=st.integers(0, 4_000_000_000_000_000).map(lambda microseconds: microseconds / 1_000_000),
)
