"""Which topics keep how much: the setting `GATEWAY_HISTORY`, read. Pure."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from topics.placement.base import Limits

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RULE = re.compile(r"(?P<pattern>[\x21-\x2b\x2d-\x7e]{1,255})=(?P<limits>[^=\s]+)")
_LIMITS = re.compile(
    r"(?:(?P<events>\d{1,9})(?:/(?P<age>\d{1,6})(?P<unit>[smhd]))?|(?P<only>\d{1,6})(?P<only_unit>[smhd]))"
)

ADVICE = (
    "write PATTERN=COUNT, PATTERN=AGE or PATTERN=COUNT/AGE, such as orders.*=1000/1h (ages in s, m, h or d; 0 keeps "
    "nothing)"
)


@dataclass(frozen=True)
class Rules:
    """The patterns of one gateway.

    Attributes:
        limits: Pattern to limits, None where nothing is kept; `*` in a pattern stands for any characters.
    """

    limits: tuple[tuple[str, Limits | None], ...]
    of: Callable[[str], Limits | None] = field(init=False, repr=False, compare=False)
    """Return a topic's limits, None when it keeps nothing."""

    def __post_init__(self) -> None:
        # The longest match wins: the pattern with the most characters of its own, then the one given first.
        ordered = sorted(self.limits, key=lambda rule: -len(rule[0].replace("*", "")))
        compiled = tuple((_compiled(pattern), limits) for pattern, limits in ordered)

        @lru_cache(maxsize=4096)
        def of(topic: str) -> Limits | None:
            return next((limits for pattern, limits in compiled if pattern.fullmatch(topic)), None)

        # Each publish asks: a cache of its own, as one that is shared would hash the rules each time.
        object.__setattr__(self, "of", of)

    def kept(self, topics: Iterable[str]) -> dict[str, Limits]:
        """Return those of some topics that keep history, with their limits."""
        return {topic: limits for topic in topics if (limits := self.of(topic)) is not None}

    def __bool__(self) -> bool:
        """Tell whether any topic keeps anything."""
        return any(limits is not None for _, limits in self.limits)


def parse_rules(value: str) -> Rules:
    """Read the setting.

    Args:
        value: Rules separated by commas; a later rule may not repeat an earlier one's pattern.

    Raises:
        ValueError: Which rule is wrong, and what to write.
    """
    limits: dict[str, Limits | None] = {}
    for item in filter(None, map(str.strip, value.split(","))):
        rule = _RULE.fullmatch(item)
        if rule is None:
            raise ValueError(f"{item!a} is not a rule; {ADVICE}")
        pattern = rule["pattern"]
        if pattern in limits:
            raise ValueError(f"the pattern {pattern!a} is given twice; give it once")
        amount = _LIMITS.fullmatch(rule["limits"])
        if amount is None:
            raise ValueError(f"{rule['limits']!a} is not an amount; {ADVICE}")
        limits[pattern] = _amount(amount)
    return Rules(tuple(limits.items()))


def _compiled(pattern: str) -> re.Pattern[str]:
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return re.compile(first)
    # What stands between two stars matches where it first can, for good: clients choose the topic, and one made to
    # fit almost would else be tried in as many ways as there are places for each star.
    return re.compile(first + "".join(f"(?>.*?{part})" for part in rest[:-1]) + ".*" + rest[-1])


def _amount(amount: re.Match[str]) -> Limits | None:
    events = None if amount["events"] is None else int(amount["events"])
    age, unit = (amount["age"], amount["unit"]) if amount["age"] else (amount["only"], amount["only_unit"])
    seconds = None if age is None else int(age) * _UNITS[unit]
    return None if events == 0 or seconds == 0 else Limits(events, seconds)
