"""The reference's facts on small cases worked out by hand from the contract."""
import itertools
import random

import pytest

from .decode import Event, Refused, decode, parse_time_ms, time_text
from .facts import Facts
from .partition import murmur2, partition_of
from .profile import preferred_channel
from .scores import DAY_MS, Settings

T0 = parse_time_ms("2025-03-01T12:00:00Z")


def purchase(id_, day, amount=1000, order=None, ms=0):
    return Event("purchase", id_, "c", T0 + day * DAY_MS + ms, order or f"o-{id_}", amount)


def refund(id_, order, amount=None, day=0):
    return Event("refund", id_, "c", T0 + day * DAY_MS, order, amount)


def after(*events):
    facts = Facts("c")
    for event in events:
        facts.apply(event)
    return facts


def test_same_day_counts_once_and_order_does_not_matter():
    events = [purchase("a", 0), purchase("b", 0, ms=5), purchase("c", 3), purchase("d", 10), purchase("e", 10, ms=1)]
    expected = (5, 5000, 2, 10)
    for order in itertools.permutations(events):
        facts = after(*order)
        assert (facts.orders, facts.revenue, facts.x, facts.t_x) == expected


def test_random_sets_within_the_lateness_equal_their_distinct_days():
    for seed in range(200):
        rng = random.Random(seed)
        days = [rng.randrange(60) for _ in range(rng.randrange(1, 12))]
        facts = after(*(purchase(str(i), day) for i, day in enumerate(days)))
        assert facts.x == len(set(days)) - 1
        assert facts.t_x == max(days) - min(days)


def test_beyond_the_lateness_an_older_day_is_new_unless_it_is_the_first():
    assert after(purchase("a", 0), purchase("b", 100), purchase("c", 0, ms=9)).x == 1
    assert after(purchase("a", 0), purchase("b", 20), purchase("c", 100), purchase("d", 20)).x == 3
    assert after(purchase("a", 50), purchase("b", 120), purchase("c", 10)).x == 2


def test_repeats_by_event_and_order():
    assert after(purchase("a", 0), purchase("a", 0)).orders == 1
    assert after(purchase("a", 0, order="o"), purchase("b", 0, order="o")).orders == 1
    assert after(purchase("a", 0, order="o"), purchase("a", 3, order="p")).orders == 2
    assert after(purchase("a", 0, order="o"), purchase("b", 91, order="o")).orders == 2
    many = [purchase(str(i), 0, ms=i) for i in range(40)]
    assert after(*many, purchase("0", 0, order="z")).orders == 41
    assert after(*many, purchase("z", 0, order="o-0")).orders == 41
    assert after(*many, purchase("39", 0, order="z"), purchase("y", 0, order="o-39")).orders == 40


@pytest.mark.parametrize("events, revenue, refunds", [
    ([purchase("a", 0, 1000, "o"), refund("r", "o", 300)], 700, 1),
    ([purchase("a", 0, 1000, "o"), refund("r", "o", 300), refund("s", "o", 900)], 0, 2),
    ([purchase("a", 0, 1000, "o"), refund("r", "o", 300), refund("s", "o")], 0, 2),
    ([purchase("a", 0, 1000, "o"), purchase("b", 1, 500), refund("r", "o")], 500, 1),
])
def test_refunds_in_any_order(events, revenue, refunds):
    for order in itertools.permutations(events):
        facts = after(*order)
        assert (facts.revenue, facts.refunds) == (revenue, refunds)


def test_a_waiting_refund():
    assert (after(refund("r", "o", 300)).revenue, after(refund("r", "o", 300)).refunds) == (-300, 1)
    assert (after(refund("r", "o")).revenue, after(refund("r", "o")).refunds) == (0, 0)
    facts = after(refund("r", "o"), *(purchase(str(i), 0) for i in range(16)))
    assert facts.unknown_orders == 1 and facts.refunds == 0


def test_an_order_of_nothing_changes_no_fact():
    facts = after(purchase("a", 0, 0))
    assert (facts.orders, facts.last_ms, facts.revenue) == (0, None, 0)


def test_consent_latest_wins_and_a_tie_is_refusal():
    yes = Event("consent", "y", "c", T0, channel="email", granted=True)
    no = Event("consent", "n", "c", T0, channel="email", granted=False)
    later = Event("consent", "l", "c", T0 + 1, channel="email", granted=True)
    assert after(yes, no).consent["email", "marketing"][1] is False
    assert after(no, yes).consent["email", "marketing"][1] is False
    assert after(later, no, yes).consent["email", "marketing"][1] is True


def test_murmur2_is_java_s():
    # org.apache.kafka.common.utils.UtilsTest
    for text, expected in (("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
                           ("a-little-bit-longer-string", -1486304829),
                           ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971), ("abc", 479470107)):
        assert murmur2(text.encode()) == expected & 0xFFFFFFFF
    assert 0 <= partition_of(b"abc", 4) < 4


@pytest.mark.parametrize("value, reason", [
    (b"", "empty"), (None, "empty"), (b"{", "malformed"), (b"[]", "malformed"), (b"\xff", "malformed"),
    (b'{"type":"dance","id":"1","client_id":"c","time":1735689600000}', "unknown_type"),
    (b'{"type":"visit","id":"1","client_id":"c"}', "missing_field"),
    (b'{"type":"visit","id":1,"client_id":"c","time":1735689600000}', "wrong_type"),
    (b'{"type":"visit","id":"1","client_id":"c","time":"yesterday"}', "bad_time"),
    (b'{"type":"visit","id":"1","client_id":"c","time":"1989-12-31T23:59:59Z"}', "time_too_old"),
    (b'{"type":"purchase","id":"1","client_id":"c","time":1735689600000,"order_id":"o","amount":"1.005",'
     b'"currency":"EUR"}', "bad_amount"),
    (b'{"type":"purchase","id":"1","client_id":"c","time":1735689600000,"order_id":"o","amount":1,"currency":"USD"}',
     "unknown_currency"),
])
def test_refusals(value, reason):
    with pytest.raises(Refused) as refused:
        decode(value, Settings())
    assert refused.value.reasons[0] == reason


def test_times():
    assert parse_time_ms("2025-03-01T13:00:00.5+01:00") == T0 + 500
    assert time_text(T0 + 7) == "2025-03-01T12:00:00.007Z"


def said(type_, id_, ms=0, **fields):
    return Event(type_, id_, "c", T0 + ms, fields={"type": type_, **fields})


def test_favourites_answers_points_and_source():
    def bought(id_, *categories):
        return Event("purchase", id_, "c", T0, f"o-{id_}", 100, categories=categories, fields={"campaign": "spring"})

    view = after(bought("1", "hats", "bags"), bought("2", "hats"), said("visit", "v", -5, campaign="radio"),
                 said("feedback", "b", 1, kind="nps", score=9), said("feedback", "a", 1, kind="nps", score=3),
                 said("points", "p", delta=-20), said("points", "q", delta=5)).view(T0 + DAY_MS, Settings())
    assert view["favourite_categories"] == [{"category": "hats", "orders": 2}, {"category": "bags", "orders": 1}]
    assert (view["favourite_category"], view["nps"], view["points"], view["source"]) == ("hats", 9, -15, "radio")


def test_complaints_and_channels():
    def complaint(id_, ms, kind, case=None):
        return said("feedback", id_, ms, kind=kind, case_id=case)

    events = [complaint("1", 0, "complaint"), complaint("2", 0, "complaint", "A"), complaint("3", 2, "resolved", "A"),
              complaint("4", 1, "complaint", "A"), complaint("5", 0, "resolved", "B")]
    for order in itertools.permutations(events):
        assert after(*order).profile.open_complaints() == 0
    assert after(*events, complaint("6", 9, "complaint", "A")).profile.open_complaints() == 1
    assert preferred_channel({"a": {"delivered": 30, "clicked": 3}, "b": {"delivered": 2, "replied": 1}}) == "b"
    assert preferred_channel({"a": {"sent": 3}}) is None
    assert preferred_channel({"b": {"delivered": 1}, "a": {"delivered": 1}}) == "a"


def test_profiles():
    view = after(said("profile", "1", 5, traits={"age": 18, "tier": "gold", "colour": "red"}, timezone="Europe/Berlin"),
                 said("profile", "2", 4, traits={"age": 17}, timezone="Mars/Olympus", language="de"),
                 said("profile", "3", 6, traits={"tier": None, "age": "x"})).view(T0 + DAY_MS, Settings())
    assert (view["traits"], view["timezone"], view["language"]) == ({"age": 18}, "Europe/Berlin", "de")
