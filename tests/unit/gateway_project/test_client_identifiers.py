import time
import uuid

from gateway_project.client.identifiers import fresh_id


def test_it_is_a_version_7_uuid_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(fresh_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_sort_by_time() -> None:
    ids = [fresh_id(milliseconds) for milliseconds in (0, 1, 1_700_000_000_000, 1_700_000_000_001, (1 << 48) - 1)]
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_differ() -> None:
    assert len({fresh_id(1) for _ in range(1000)}) == 1000
