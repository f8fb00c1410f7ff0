"""The judge must find every broken promise, and excuse nothing but what was told."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.chaos.judge import Finding, Publication, Seen, Silence, Subscriber, judge

TOPIC = "orders"


def published(count: int, *, status: int | None = 200, topics: tuple[str, ...] = (TOPIC,)) -> list[Publication]:
    """Events 1, 2, ... sent at 1, 2, ... and answered half a second later."""
    return [Publication(str(at), topics, "n1", at, at + 0.5, status) for at in range(1, count + 1)]


def subscriber(
    seen: Iterable[str | tuple[str, float]],
    name: str = "s",
    *,
    ended: float | None = None,
    topics: tuple[str, ...] = (TOPIC,),
) -> Subscriber:
    """One that was there from 0 on; a word is an event, a pair the topic and time of a gap."""
    record = Subscriber(name, "n2", dict.fromkeys(topics, (0.0, math.inf)), ended=ended)
    now = 0.6
    for what in seen:
        if isinstance(what, tuple):
            record.seen.append(Seen(what[1], None, what[0]))
        else:
            now = max(now, float(what) + 0.6)
            record.seen.append(Seen(now, what))
    if ended is not None:
        record.leave(ended)
    return record


def whats(findings: Iterable[Finding]) -> list[str]:
    return [finding.what for finding in findings]


def test_all_seen_in_order_is_well() -> None:
    assert judge(published(5), [subscriber("12345"), subscriber("12345", "t")]) == []


def test_a_lost_event_without_a_gap_is_found() -> None:
    (finding,) = judge(published(5), [subscriber("1245"), subscriber("12345", "t")])
    assert finding.what == "lost"
    assert "never saw 3 " in finding.detail
    assert "no gap was told" in finding.detail


def test_events_lost_at_the_end_are_found() -> None:
    assert whats(judge(published(5), [subscriber("123")])) == ["lost", "lost"]


def test_a_gap_in_its_place_tells_of_what_is_missing() -> None:
    assert judge(published(5), [subscriber(["1", "2", (TOPIC, 4.2), "5"])]) == []
    assert judge(published(5), [subscriber(["1", "2", "3", "4", (TOPIC, 6.0)])]) == []


def test_a_gap_of_another_topic_tells_nothing() -> None:
    findings = judge(published(3), [subscriber(["1", ("other", 2.7), "3"], topics=(TOPIC, "other"))])
    assert whats(findings) == ["lost"]


def test_a_gap_that_was_told_before_the_event_was_sent_tells_nothing_of_it() -> None:
    (finding,) = judge(published(4), [subscriber(["1", (TOPIC, 1.9), "2", "4"])])
    assert finding.what == "lost"


def test_a_gap_that_stands_before_earlier_or_behind_later_events_is_found() -> None:
    early: list[str | tuple[str, float]] = ["1", (TOPIC, 3.2), "2", "4", "5"]
    late: list[str | tuple[str, float]] = ["1", "2", "4", (TOPIC, 4.9), "5"]
    for seen in (early, late):
        (finding,) = judge(published(5), [subscriber(seen)])
        assert finding.what == "lost"
        assert "elsewhere" in finding.detail


def test_an_event_of_several_topics_does_not_bound_the_gap_of_one() -> None:
    publications = published(5)
    publications[4].topics = (TOPIC, "other")
    seen: list[str | tuple[str, float]] = ["1", "2", "3", "5", (TOPIC, 5.9)]
    assert judge(publications, [subscriber(seen, topics=(TOPIC, "other"))]) == []
    assert whats(judge(publications, [subscriber(seen)])) == ["lost"]


def test_an_event_of_two_topics_needs_a_gap_of_each() -> None:
    publications = published(1, topics=(TOPIC, "other"))
    both = (TOPIC, "other")
    assert judge(publications, [subscriber([(TOPIC, 2.0), ("other", 2.0)], topics=both)]) == []
    assert whats(judge(publications, [subscriber([(TOPIC, 2.0)], topics=both)])) == ["lost"]


def test_a_lost_connection_tells_of_what_comes_after_its_last_event_only() -> None:
    assert judge(published(5), [subscriber("12", ended=5.2)]) == []
    assert whats(judge(published(5), [subscriber("124", ended=5.2)])) == ["lost"]


def test_one_that_left_is_owed_what_was_answered_before() -> None:
    record = subscriber("12")
    record.leave(4.7)
    assert whats(judge(published(5), [record])) == ["lost", "lost"]


def test_one_that_came_late_is_owed_what_was_sent_after() -> None:
    record = subscriber("45")
    record.held[TOPIC] = 3.2, math.inf
    assert judge(published(5), [record]) == []
    record.seen.pop(0)
    assert whats(judge(published(5), [record])) == ["lost"]


def test_a_refused_or_unanswered_publish_may_be_seen_or_not() -> None:
    publications = published(5)
    publications[1].status = 503
    publications[2].status, publications[2].answered = None, math.inf
    assert judge(publications, [subscriber("1245"), subscriber("1345", "t")]) == []


def test_a_repeat_is_found() -> None:
    assert "repeat" in whats(judge(published(3), [subscriber(["1", "2", "3", "3"])]))


def test_a_wrong_order_is_found_by_one_subscriber_alone() -> None:
    (finding,) = judge(published(3), [subscriber("132")])
    assert finding.what == "wrong order"


def test_two_orders_are_found_where_each_could_be_right() -> None:
    publications = [Publication(name, (TOPIC,), "n1", 1.0, 9.0, 200) for name in "123"]
    assert judge(publications, [subscriber("132"), subscriber("132", "t")]) == []
    (finding,) = judge(publications, [subscriber("123"), subscriber("132", "t")])
    assert finding.what == "two orders"


def test_two_orders_are_found_though_no_two_subscribers_saw_the_same_pair_side_by_side() -> None:
    publications = [Publication(name, (TOPIC,), "n1", 1.0, 9.0, 503) for name in "1234"]
    subscribers = [subscriber("12"), subscriber("23", "t"), subscriber("31", "u")]
    assert whats(judge(publications, subscribers)) == ["two orders"]


def test_the_order_of_other_topics_is_free() -> None:
    publications = [Publication("1", ("a",), "n1", 1.0, 1.5, 200), Publication("2", ("b",), "n1", 2.0, 2.5, 200)]
    assert judge(publications, [subscriber("21", topics=("a", "b")), subscriber("12", "t", topics=("a", "b"))]) == []


def test_what_was_not_meant_for_a_subscriber_is_found() -> None:
    publications = [*published(1), Publication("2", ("other",), "n1", 2.0, 2.5, 200)]
    assert whats(judge(publications, [subscriber("12")])) == ["stranger"]
    assert whats(judge(published(1), [subscriber(["1", "7"])])) == ["stranger"]
    assert whats(judge(published(1), [subscriber(["1", ("other", 2.0)])])) == ["stranger"]


def test_an_event_of_a_topic_that_was_asked_for_and_refused_is_no_stranger() -> None:
    publications = [*published(1), Publication("2", ("other",), "n1", 2.0, 2.5, 200)]
    record = subscriber("12")
    record.asked.add("other")
    assert judge(publications, [record]) == []


def test_a_false_204_is_found() -> None:
    publications = published(3)
    publications[1].status = 204
    (finding,) = judge(publications, [subscriber("13")])
    assert finding.what == "false 204"


def test_204_is_true_before_and_after_a_subscriber_was_there() -> None:
    publications = published(3, status=204)
    record = subscriber("")
    record.held[TOPIC] = 1.2, 3.2
    assert [finding.detail[:2] for finding in judge(publications, [record])] == ["2 "]


def test_a_node_that_may_count_as_dead_excuses_204_for_its_own_subscribers_when_they_are_told() -> None:
    publications = published(3)
    publications[1].status = 204
    silence = Silence("n2", 1.9, 2.6)
    told = subscriber(["1", (TOPIC, 2.8), "3"])
    assert judge(publications, [told], silences=[silence]) == []
    assert whats(judge(publications, [subscriber("13")], silences=[silence])) == ["untold drop"]
    assert whats(judge(publications, [told], silences=[Silence("n1", 1.9, 2.6)])) == ["false 204"]
    assert whats(judge(publications, [told], silences=[Silence("n2", 2.6, 9.0)])) == ["false 204"]


def test_a_200_for_a_topic_that_nobody_holds_is_found() -> None:
    publications = [*published(1), Publication("2", ("never",), "n1", 2.0, 2.5, 200)]
    assert whats(judge(publications, [subscriber("1")], never_held="never")) == ["false 200"]
