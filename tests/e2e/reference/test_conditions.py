"""What conditions come to, on small cases from docs/expressions.md."""
import random

import pytest

from .conditions import INT_OPERATORS, Fault, Part, Sight, _both, _of_doubles, _order, holds, random_condition
from .decode import Event, parse_time_ms
from .facts import Facts
from .scores import Settings

NOW = parse_time_ms("2026-03-29T01:00:00.123Z")
TRUE, FALSE = Part("true", lambda _: True), Part("false", lambda _: False)


def fails(_):
    raise Fault("absent")


FAILS = Part("client.nps > 8", fails)
SIGHT = Sight(Facts("c"), Settings(), None, NOW)


@pytest.mark.parametrize("sides, decides, result", [
    ([FAILS, TRUE], True, True), ([TRUE, FAILS], True, True), ([FAILS, FALSE], False, False), ([FALSE, FAILS], False, False),
    ([FAILS, FALSE], True, None), ([TRUE, FAILS], False, None), ([TRUE, TRUE], False, True), ([FALSE, FALSE], True, False)])
def test_faults_are_absorbed_by_what_decides(sides, decides, result):
    if result is None:
        with pytest.raises(Fault):
            _both(SIGHT, sides, decides)
    else:
        assert _both(SIGHT, sides, decides) is result
    assert holds(FAILS, SIGHT) is False


def test_numbers():
    assert [INT_OPERATORS["/"](a, b) for a, b in ((7, 2), (-7, 2), (7, -2))] == [3, -3, -3]
    assert [INT_OPERATORS["%"](a, b) for a, b in ((-7, 3), (7, -3))] == [-1, 1]
    for operator, a, b in (("/", 1, 0), ("%", 1, 0), ("+", 2**63 - 1, 1), ("*", 2**62, 2)):
        with pytest.raises(Fault):
            INT_OPERATORS[operator](a, b)
    assert _order(">", 9007199254740993, 9007199254740992.0) and _order("==", 2, 2.0)
    assert _of_doubles(1.0, 0.0) == float("inf") and _of_doubles(-1.0, 0.0) == float("-inf")
    assert not _order("==", _of_doubles(0.0, 0.0), 0.0)
    with pytest.raises(Fault):
        _order("<", _of_doubles(0.0, 0.0), 1.0)


def test_random_ones_hold_and_fail():
    facts, results = Facts("c"), set()
    facts.apply(Event("purchase", "p", "c", NOW - 86_400_000, "o", 12990))
    event = Event("visit", "v", "c", NOW, fields={"action": "page_view"})
    for seed in range(300):
        condition = random_condition(random.Random(seed), "visit")
        try:
            results.add(condition.value(Sight(facts, Settings(), event, NOW)))
        except Fault:
            results.add(None)
    assert results == {True, False, None}
