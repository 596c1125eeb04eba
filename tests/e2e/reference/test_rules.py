"""The reference's triggers on small cases."""
from .decode import Event, parse_time_ms
from .facts import Facts
from .rules import ClientRules, trigger_id
from .scores import DAY_MS, Settings

T0 = parse_time_ms("2025-03-01T12:00:00Z")
RULES = [
    {"name": "thank_you", "on": {"event": "purchase"}, "class": "transactional", "channels": ["email"]},
    {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, "class": "transactional", "channels": ["email"]},
    {"name": "review", "on": {"event": "purchase"}, "delay": "7d", "cancel_on": ["refund"], "class": "transactional",
     "channels": ["email"]},
    {"name": "win_back", "on": {"fall": {"activity_ratio": 0.3}}, "class": "marketing", "channels": ["email"],
     "cooldown": "90d"},
]


def run(events, until_days):
    client = ClientRules(RULES, Settings(), Facts("c"))
    for event in events:
        client.event(event, event.time_ms)
    client.advance(T0 + until_days * DAY_MS)
    return client


def purchase(id_, day):
    return Event("purchase", id_, "c", T0 + day * DAY_MS, f"o-{id_}", 1000)


CONSENT = Event("consent", "y", "c", T0, channel="email", granted=True)


def names(client):
    return [(outcome.rule, round((outcome.time_ms - T0) / DAY_MS)) for outcome in client.sent]


def test_one_purchase():
    client = run([CONSENT, purchase("a", 0)], 200)
    assert names(client) == [("thank_you", 0), ("welcome", 0), ("review", 7), ("win_back", 141)]
    assert client.sent[0].id == trigger_id("thank_you", "c", "purchase\x1fa")
    win_back = client.sent[-1]
    assert win_back.time_ms % 1000 == 0 and win_back.cause == f"due:{win_back.time_ms}"


def test_no_consent_no_marketing():
    client = run([purchase("a", 0)], 200)
    assert [outcome.suppressed_by for outcome in client.held_back] == ["consent"]


def test_a_second_purchase_moves_the_moment_and_is_pending_for_review():
    client = run([CONSENT, purchase("a", 0), purchase("b", 1)], 200)
    assert names(client) == [("thank_you", 0), ("welcome", 0), ("thank_you", 1), ("review", 7), ("win_back", 103)]
    assert [outcome.suppressed_by for outcome in client.held_back] == ["pending"]


def test_cancelled_by_a_refund():
    client = run([CONSENT, purchase("a", 0), Event("refund", "r", "c", T0 + DAY_MS, "o-a")], 30)
    assert names(client) == [("thank_you", 0), ("welcome", 0)]
    assert [outcome.suppressed_by for outcome in client.held_back] == ["cancelled"]


def test_a_repeat_causes_nothing():
    client = run([CONSENT, purchase("a", 0), purchase("a", 0)], 1)
    assert names(client) == [("thank_you", 0), ("welcome", 0)]


def test_a_first_value_is_no_crossing():
    client = ClientRules(RULES, Settings(), Facts("c"))
    client.event(CONSENT, T0)
    client.event(purchase("a", 0), T0 + 170 * DAY_MS)
    client.advance(T0 + 400 * DAY_MS)
    assert [outcome.rule for outcome in client.sent] == ["thank_you", "review"]
