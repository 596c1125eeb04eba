"""What the contract says of causes, policies and triggers, at its borders; expected values come from its text alone."""
import hashlib
import hmac

import pytest
import xxhash

from harness.probe import DAY_MS, HOUR_MS, T0, Probe, consent, event, marketing, purchase, rule, visit
from reference.decode import parse_time_ms, time_text

pytestmark = pytest.mark.rfmd
VISIT, NIGHT = {"event": "visit"}, {"from": "21:00", "to": "09:00"}
TO_NIGHT, TO_MORNING = 9 * HOUR_MS, 21 * HOUR_MS  # from T0, noon


@pytest.fixture
def probe(tmp_path):
    return Probe(tmp_path)


# -- once, cooldown, caps, age


def test_once_and_cooldown(probe):
    """A cooldown is over once it has passed: not less than that since the last send."""
    rules = [rule("once", VISIT, once=True), rule("cool", VISIT, cooldown="1h")]
    out = probe.replay([visit(at_ms=0), visit(at_ms=HOUR_MS - 1), visit(at_ms=HOUR_MS)], rules)
    assert out.sent == [("cool", "c", 0), ("once", "c", 0), ("cool", "c", HOUR_MS)]
    assert out.held_back == [("cool", "c", HOUR_MS - 1, "cooldown"), ("once", "c", HOUR_MS - 1, "once"),
                             ("once", "c", HOUR_MS, "once")]


def test_caps_count_from_just_after_the_window_begins(probe):
    caps = {"frequency_caps": [{"class": "marketing", "max": 1, "per": "1h"}]}
    out = probe.replay([visit("a"), visit("b"), visit("a", HOUR_MS - 1), visit("b", HOUR_MS)], [marketing("m", VISIT)],
                       policies=caps)
    assert out.sent == [("m", "a", 0), ("m", "b", 0), ("m", "b", HOUR_MS)]
    assert out.held_back == [("m", "a", HOUR_MS - 1, "cap")]
    caps = {"frequency_caps": [{"max": 2, "per": "1h"}]}  # without a class it counts transactional ones, and holds back none
    out = probe.replay([visit(), visit(at_ms=1)], [rule("t", VISIT, priority=1), marketing("m", VISIT)], policies=caps)
    assert out.sent == [("t", "c", 0), ("m", "c", 0), ("t", "c", 1)] and out.held_back == [("m", "c", 1, "cap")]


def test_causes_of_one_instant_go_by_priority_then_name(probe):
    rules = [marketing(name, VISIT, priority=priority) for name, priority in (("z", 5), ("a", 0), ("b", 5), ("n", -1))]
    out = probe.replay([visit()], rules, policies={"frequency_caps": [{"max": 2, "per": "1d"}]})
    assert [sent[0] for sent in out.sent] == ["b", "z"] and [held[0] for held in out.held_back] == ["a", "n"]
    idle = [rule(name, {"idle": {"since": "visit", "for": "1h"}}, priority=priority) for name, priority in
            (("z", 0), ("a", 0), ("m", 3))]
    out = probe.replay([visit("y"), visit("x")], idle, 2 * HOUR_MS)
    assert out.sent == [(name, client, HOUR_MS) for client in "xy" for name in "maz"]


def test_old_events_cause_nothing(probe):
    events = [visit("now"), visit("edge", -72 * HOUR_MS), visit("old", -72 * HOUR_MS - 1)]
    for age, sent in (("72h", {"now", "edge"}), ("off", {"now", "edge", "old"})):
        out = probe.replay(events, [rule("r", VISIT)], policies={"max_trigger_age": age})
        assert {client for _, client, _ in out.sent} == sent and len(out.clients) == 3 and out.audit == []
    late = [visit("now"), purchase("c", -73 * HOUR_MS)]
    out = probe.replay(late, [rule("r", {"enter": {"lifecycle": "new"}})], policies={"max_trigger_age": "72h"})
    assert out.sent == [] and out.clients["c"]["lifecycle"] == "new"


def test_silent_until_and_schedules(probe):
    out = probe.replay([visit("a"), visit("b", 999), visit("c", 1000)], [rule("r", VISIT)],
                       policies={"silent_until": time_text(T0 + 1000)})
    assert out.sent == [("r", "c", 1000)] and len(out.clients) == 3
    midnight, day = 12 * HOUR_MS, DAY_MS  # T0 is Monday 2026-03-02
    events = [visit("a", midnight - 1), visit("b", midnight), visit("c", midnight + day - 1), visit("d", midnight + day)]
    rules = [rule("days", VISIT, schedule={"days": ["tue"]}),
             rule("dates", VISIT, schedule={"from": "2026-03-03", "to": "2026-03-03"})]
    sent = {outcome[:2] for outcome in probe.replay(events, rules).sent}
    assert sent == {(name, client) for name in ("days", "dates") for client in "bc"}


# -- delay, cancellation, pending


def test_what_cancels(probe):
    waiting = rule("r", VISIT, delay="1h", cancel_on=["purchase"])
    cases = {  # events after the visit; whether it is sent
        "before": ([purchase(at_ms=-1)], True), "same time": ([purchase(at_ms=0)], False),
        "just in time": ([purchase(at_ms=HOUR_MS - 1)], False), "the very instant": ([purchase(at_ms=HOUR_MS)], False),
        "too late": ([purchase(at_ms=HOUR_MS + 1)], True), "same cart": ([purchase(at_ms=1, cart_id="k")], False),
        "another cart": ([purchase(at_ms=1, cart_id="l")], True), "no cart": ([purchase(at_ms=1)], False),
    }
    for name, (after, sent) in cases.items():
        out = probe.replay([visit(cart_id="k"), *after], [waiting], 2 * HOUR_MS)
        assert (out.sent == [("r", "c", HOUR_MS)]) == sent, name
        assert [held[3] for held in out.held_back] == ([] if sent else ["cancelled"]), name


def test_pending_restart_and_carts(probe):
    events = [visit(id="a"), visit(at_ms=HOUR_MS - 1, id="b"), visit(at_ms=3 * HOUR_MS, id="c")]
    keeps = probe.replay(events, [rule("r", VISIT, delay="1h")], 5 * HOUR_MS)
    assert [(t["cause"]["id"], parse_time_ms(t["time"]) - T0) for t in keeps.triggers] == [("a", HOUR_MS), ("c", 4 * HOUR_MS)]
    assert keeps.held_back == [("r", "c", HOUR_MS - 1, "pending")]
    takes = probe.replay(events, [rule("r", VISIT, delay="1h", restart=True)], 5 * HOUR_MS)
    assert [(t["cause"]["id"], parse_time_ms(t["time"]) - T0) for t in takes.triggers] == [("b", 2 * HOUR_MS - 1),
                                                                                           ("c", 4 * HOUR_MS)]
    assert takes.audit == []
    carts = probe.replay([visit(at_ms=i, cart_id=str(i)) for i in range(10)], [rule("r", VISIT, delay="1h")], 5 * HOUR_MS)
    assert [sent[2] for sent in carts.sent] == [HOUR_MS + i for i in range(8)]
    assert [held[2:] for held in carts.held_back] == [(8, "slots_full"), (9, "slots_full")]


def test_after_a_delay_it_is_asked_again(probe):
    rules = [rule("when", VISIT, delay="1h", when="client.orders == 0"),
             rule("consent", VISIT, delay="1h", **{"class": "marketing"})]
    events = [consent(), visit(), purchase(at_ms=1), consent(at_ms=1000, granted=False)]
    assert probe.replay(events, rules, DAY_MS).held_back == [("consent", "c", HOUR_MS, "consent"),
                                                             ("when", "c", HOUR_MS, "condition")]
    due = probe.replay([visit()], rules, HOUR_MS - 1).clients["c"]["due"]
    assert sorted(d["rule"] for d in due) == ["consent", "when"] and {d["time"] for d in due} == {time_text(T0 + HOUR_MS)}


# -- quiet hours


def test_quiet_hours_are_half_open(probe):
    at = {"before": TO_NIGHT - 1, "from": TO_NIGHT, "in": TO_NIGHT + HOUR_MS, "last": TO_MORNING - 1, "to": TO_MORNING}
    out = probe.replay([visit(name, at_ms) for name, at_ms in at.items()], [marketing("m", VISIT)], DAY_MS * 2,
                       policies={"quiet_hours": NIGHT})
    assert {client: at_ms for _, client, at_ms in out.sent} == {
        "before": TO_NIGHT - 1, "from": TO_MORNING, "in": TO_MORNING, "last": TO_MORNING, "to": TO_MORNING}
    assert out.audit == []


def test_jitter_is_the_client_s_own(probe):
    clients = [f"c{i}" for i in range(20)] + ["ü"]
    out = probe.replay([visit(client, TO_NIGHT + i) for i, client in enumerate(clients)], [marketing("m", VISIT)], DAY_MS,
                       policies={"quiet_hours": {**NIGHT, "jitter": "15m"}})
    end_ms = T0 + TO_MORNING
    assert {client: at_ms for _, client, at_ms in out.sent} == {
        client: TO_MORNING + xxhash.xxh3_64_intdigest(f"{client}\x1f{end_ms}".encode()) % 900_000 for client in clients}


@pytest.mark.parametrize("expires, sent", [("11h", True), ("10h59m", False)])
def test_expires_counts_from_the_deferral(probe, expires, sent):
    out = probe.replay([visit(at_ms=TO_NIGHT + HOUR_MS)], [marketing("m", VISIT, expires=expires)], 2 * DAY_MS,
                       policies={"quiet_hours": NIGHT})
    assert out.sent == ([("m", "c", TO_MORNING)] if sent else [])
    assert out.held_back == ([] if sent else [("m", "c", TO_MORNING, "expired")])


def test_quiet_hours_by_the_client_s_clock(probe):
    known, unknown = event("profile", "ny", timezone="America/New_York"), event("profile", "mars", timezone="Mars/Base")
    events = [known, unknown, visit("ny", 10 * HOUR_MS), visit("mars", 10 * HOUR_MS), visit("ny", 15 * HOUR_MS)]
    out = probe.replay(events, [marketing("m", VISIT)], 2 * DAY_MS,
                       policies={"quiet_hours": {**NIGHT, "default_timezone": "Asia/Tokyo"}})
    # In New York it is 17:00 and 22:00, in Tokyo 07:00.
    assert out.sent == [("m", "ny", 10 * HOUR_MS), ("m", "mars", 12 * HOUR_MS), ("m", "ny", 26 * HOUR_MS)]


# -- channels


CHANNELS = {  # what came before; (channel or reason of marketing, of transactional) over [email, sms]
    "nothing": ([], "consent", "email"),
    "granted": ([consent()], "email", "email"),
    "granted elsewhere": ([consent(channel="sms")], "sms", "email"),
    "transactional refused": ([consent(granted=False, **{"class": "transactional"})], "consent", "sms"),
    "both of one time": ([consent(id="z"), consent(id="a", granted=False)], "consent", "email"),
    "the later arrived first": ([consent(at_ms=10), consent(at_ms=5, granted=False)], "email", "email"),
    "unsubscribed": ([consent(), ("unsubscribed", 5)], "consent", "email"),
    "unsubscribed before": ([consent(at_ms=5), ("unsubscribed", 4)], "email", "email"),
    "unsubscribed at once": ([consent(at_ms=5), ("unsubscribed", 5)], "consent", "email"),
    "complained": ([consent(), ("complained", 5)], "consent", "sms"),
    "complained, allowed again": ([consent(), ("complained", 5), consent(at_ms=6, **{"class": "transactional"})], "consent",
                                  "email"),
    "bounced": ([consent(), ("bounced", 5)], "no_channel", "sms"),
    "bounced, another": ([consent(), consent(channel="sms"), ("bounced", 5)], "sms", "sms"),
    "bounced for now": ([consent(), ("bounced", 5, False)], "email", "email"),
    "bounced, delivered": ([consent(), ("bounced", 5), ("delivered", 6)], "email", "email"),
    "delivered before it bounced": ([consent(), ("bounced", 5), ("delivered", 4)], "no_channel", "sms"),
    "bounced, opened": ([consent(), ("bounced", 5), ("opened", 6)], "no_channel", "sms"),
}


def message(status: str, at_ms: int, permanent=None) -> dict:
    return event("message", "c", at_ms, status=status, channel="email", permanent=permanent)


def test_which_channel(probe):
    rules = [rule("m", VISIT, channels=["email", "sms"], **{"class": "marketing"}),
             rule("t", VISIT, channels=["email", "sms"])]
    events = []
    for name, (before, _, _) in CHANNELS.items():
        made = [message(*one) if isinstance(one, tuple) else one for one in before] + [visit(at_ms=1000)]
        events += [{**one, "client_id": name} for one in made]
    out = probe.replay(events, rules)
    found = {(t["client_id"], t["rule"]): t.get("suppressed_by") or t["channel"] for t in out.triggers + out.audit}
    assert found == {(name, kind): expected for name, (_, *both) in CHANNELS.items() for kind, expected in zip("mt", both)}


def test_the_other_consent(probe):
    rules = [rule("m", VISIT, **{"class": "marketing"}), rule("t", VISIT)]
    out = probe.replay([visit()], rules, policies={"consent": {"marketing": "opt_out", "transactional": "opt_in"}})
    assert out.sent == [("m", "c", 0)] and out.held_back == [("t", "c", 0, "consent")]


# -- hold-out, experiments, ids, codes


def of_bucket(salt: str, client: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{salt}\x1f{client}".encode()) % 10_000


def test_hold_out_and_arms(probe):
    clients = [f"c{i}" for i in range(600)]
    arms = {"salt": "exp-é", "control": "12.34%", "variants": [{"name": "a", "share": "43.66%"},
                                                               {"name": "b", "share": "44%"}]}
    rules = [marketing("m", VISIT, cooldown="1d", experiment=arms), marketing("n", VISIT, priority=-1)]
    policies = {"holdout": {"salt": "g", "share": "7.5%"}, "frequency_caps": [{"rule": "n", "max": 1, "per": "1d"}]}
    out = probe.replay([visit(client, at_ms) for at_ms in (0, HOUR_MS) for client in clients], rules, policies=policies)
    expected = set()
    for client in clients:
        held, place = of_bucket("g", client) < 750, of_bucket("exp-é", client)
        arm = "holdout" if held else "control" if place < 1234 else "a" if place < 5600 else "b"
        expected |= {("m", client, 0, arm), ("m", client, HOUR_MS, "cooldown"),
                     ("n", client, 0, "holdout" if held else None), ("n", client, HOUR_MS, "cap")}
    found = {(t["rule"], t["client_id"], parse_time_ms(t["time"]) - T0, t.get("suppressed_by") or t["variant"])
             for t in out.triggers + out.audit}
    assert found == expected


def code(prefix: str, secret: bytes, key: str) -> str:
    bits = int.from_bytes(hmac.new(secret, key.encode(), hashlib.sha256).digest(), "big") >> (256 - 50)
    return f"{prefix}-" + "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> (45 - 5 * i) & 31] for i in range(10))


def test_ids_and_codes(probe):
    """Of events and timers, kept through delay and quiet hours, and the same in the audit."""
    (probe.folder / "secret").write_bytes(b"s3cret\n")
    promo = {"prefix": "XY", "percent": 12.5, "valid": "14d"}
    rules = [rule("now", VISIT, promo=promo), marketing("later", VISIT, delay="10h", promo=promo),
             rule("idle", {"idle": {"since": "visit", "for": "60d"}}, promo=promo),
             rule("not", VISIT, promo=promo, **{"class": "marketing"})]
    out = probe.replay([visit("clié", id="v\"1")], rules, 61 * DAY_MS, policies={"quiet_hours": NIGHT},
                       promo={"secret_file": "secret"})
    due = T0 + 60 * DAY_MS
    expected = {"now": (0, "visit", "v\"1"), "later": (TO_MORNING, "visit", "v\"1"), "idle": (60 * DAY_MS, "due", str(due)),
                "not": (0, "visit", "v\"1")}
    assert {t["rule"] for t in out.triggers} == {"now", "later", "idle"} and [t["rule"] for t in out.audit] == ["not"]
    for trigger in out.triggers + out.audit:
        at_ms, type_, id_ = expected[trigger["rule"]]
        key = f"{trigger['rule']}\x1fclié\x1f" + (f"due:{due}" if type_ == "due" else f"{type_}\x1f{id_}")
        assert trigger["time"] == time_text(T0 + at_ms) and trigger["cause"] == {"type": type_, "id": id_}
        assert trigger["id"] == xxhash.xxh3_128_hexdigest(key.encode())
        assert trigger["promo"] == {"code": code("XY", b"s3cret", key), "percent": 12.5,
                                    "valid_until": time_text(T0 + at_ms + 14 * DAY_MS)}


FIELDS = ["id", "rule", "class", "client_id", "time", "cause", "channel", "template", "variant", "promo", "data", "client",
          "rules_version"]
CLIENT_FIELDS = ["segment", "lifecycle", "rfm", "churn_risk", "orders", "revenue", "language", "timezone"]


def test_fields_of_triggers_and_audit(probe):
    rules = [rule("t", VISIT, template="hi", data={"a": "event.action", "n": "client.nps", "who": "event.client_id"}),
             rule("m", VISIT, **{"class": "marketing"})]
    out = probe.replay([event("profile", language="de", timezone="Europe/Berlin"), purchase(amount="12.30"),
                        visit(action="x")], rules)
    sent, held = out.triggers[0], out.audit[0]
    assert list(sent) == FIELDS and list(held) == [*FIELDS, "suppressed_by"] and list(sent["client"]) == CLIENT_FIELDS
    assert (sent["template"], sent["data"], held["template"], held["data"]) == ("hi", {"a": "x", "n": None, "who": "c"},
                                                                                None, None)
    state = out.clients["c"]
    assert sent["client"] == {name: state[name] for name in CLIENT_FIELDS} and sent["client"]["revenue"] == "12.30"
    assert sent["variant"] is sent["promo"] is held["channel"] is None


# -- causes


def days(out, name: str) -> list[str]:
    return [t["time"] for t in out.triggers if t["client_id"] == name]


def test_anniversaries(probe):
    """By the client's own zone; 29 February on the 28th in other years; through a change of clocks."""
    born = {"leap": ("1984-02-29", None), "berlin": ("1990-06-15", "Europe/Berlin"),
            "kiritimati": ("1990-06-15", "Pacific/Kiritimati"),
            "angeles": ("2000-01-01", "America/Los_Angeles"), "unborn": ("2029-05-01", None)}
    events = [event("profile", name, traits={"born": date}, timezone=zone) for name, (date, zone) in born.items()]
    out = probe.replay(events, [rule("a", {"anniversary": "born", "at": "09:00"})], 760 * DAY_MS,
                       traits={"born": {"type": "date"}})
    assert {name: days(out, name) for name in born} == {
        "leap": ["2027-02-28T09:00:00.000Z", "2028-02-29T09:00:00.000Z"],
        "berlin": ["2026-06-15T07:00:00.000Z", "2027-06-15T07:00:00.000Z"],
        "kiritimati": ["2026-06-14T19:00:00.000Z", "2027-06-14T19:00:00.000Z"],
        "angeles": ["2027-01-01T17:00:00.000Z", "2028-01-01T17:00:00.000Z"], "unborn": []}


def test_entering_and_leaving(probe):
    rules = [rule(f"{verb}_{name}", {verb: {kind: name}}) for verb, kind, name in (
        ("enter", "lifecycle", "prospect"), ("leave", "segment", "prospect"), ("enter", "lifecycle", "new"),
        ("leave", "lifecycle", "new"), ("enter", "lifecycle", "active"), ("enter", "segment", "rich"),
        ("leave", "segment", "rich"))]
    events = [visit(), purchase(at_ms=1), purchase(at_ms=DAY_MS, amount="90"),
              event("refund", "c", DAY_MS + 1, order_id="?", amount="5"),
              purchase(at_ms=DAY_MS + 2, amount="7")]
    out = probe.replay(events, rules, named={"rich": "client.revenue >= 100"})
    assert out.sent == [("enter_prospect", "c", 0), ("enter_new", "c", 1), ("leave_prospect", "c", 1),
                        ("enter_active", "c", DAY_MS),
                        ("enter_rich", "c", DAY_MS), ("leave_new", "c", DAY_MS), ("leave_rich", "c", DAY_MS + 1),
                        ("enter_rich", "c", DAY_MS + 2)]


def test_a_first_value_is_no_crossing(probe):
    """A one-time buyer's risk is above 0.7 from the first day; by the second purchase it falls."""
    rules = [rule("up", {"rise": {"churn_risk": 0.7}}), rule("down", {"fall": {"churn_risk": 0.7}})]
    out = probe.replay([purchase(), purchase(at_ms=DAY_MS)], rules, DAY_MS)
    assert out.clients["c"]["churn_risk"] < 0.7 and out.sent == [("down", "c", DAY_MS)]
    assert probe.replay([purchase()], rules, 100 * DAY_MS).sent == []


def test_idle_begins_anew(probe):
    rules = [rule("i", {"idle": {"since": "visit", "for": "2h"}})]
    events = [visit(at_ms=123), visit("other", 5 * HOUR_MS), visit(at_ms=-HOUR_MS), visit(at_ms=6 * HOUR_MS)]
    own = [sent[2] for sent in probe.replay(events, rules, DAY_MS).sent if sent[1] == "c"]
    assert own == [2 * HOUR_MS + 123, 8 * HOUR_MS]
    at_the_instant = [visit(), visit(at_ms=2 * HOUR_MS)]
    assert [sent[2] for sent in probe.replay(at_the_instant, rules, DAY_MS).sent] == [4 * HOUR_MS]


def test_a_condition_by_the_clock_is_seen_at_the_daily_look(probe):
    clients = [f"c{i}" for i in range(20)]
    out = probe.replay([visit(client) for client in clients], [rule("e", {"enter": {"segment": "away"}})], 5 * DAY_MS,
                       named={"away": 'now - client.last_visit > duration("36h")'})
    midnight = 36 * HOUR_MS  # T0 is noon
    expected = {client: midnight + xxhash.xxh3_64_intdigest(client.encode()) % 1440 * 60_000 for client in clients}
    assert {client: at_ms for _, client, at_ms in out.sent} == {
        client: at_ms if at_ms > midnight else at_ms + DAY_MS for client, at_ms in expected.items()}


STATE = ("client_id as_of orders refunds revenue currency avg_order first_purchase last_purchase x t_x age rfm.r "
         "segment lifecycle p_alive p_active churn_risk activity_ratio expected_next_purchase expected_orders "
         "ltv.historic ltv.predicted favourite_category favourite_categories preferred_channel visits last_visit "
         "messages consent nps open_complaints points traits.a timezone language source").split()


def test_expressions_read_the_state(probe):
    events = [consent(), event("profile", traits={"a": 3}, timezone="Europe/Berlin", language="de"), visit(campaign="q"),
              event("feedback", kind="nps", score=7), event("points", delta=3),
              event("message", status="delivered", channel="email"),
              purchase(items=[{"category": "k"}]), purchase(at_ms=9 * DAY_MS, items=[{"category": "k"}])]
    parts = [STATE[:20], STATE[20:]]
    rules = [rule(f"r{n}", {"event": "purchase"}, data={f"v{i}": f"client.{name}" for i, name in enumerate(part)})
             for n, part in enumerate(parts)]
    model = {"model": "mbg_nbd", "unit": "week", "r": 0.5, "alpha": 6, "a": 0.9, "b": 1.6,
             "spend": {"p": 6.2, "q": 3.7, "v": 15.4}}
    out = probe.replay(events, rules, model=model, traits={"a": {"type": "int"}})
    money = {"revenue", "avg_order", "ltv.historic", "ltv.predicted"}
    for n, part in enumerate(parts):
        data = [t["data"] for t in out.triggers if t["rule"] == f"r{n}"][-1]
        for i, name in enumerate(part):
            value = out.clients["c"]
            for step in name.split("."):
                value = value[step]
            value = float(value) if name in money else value
            assert data[f"v{i}"] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name


def test_errors_are_absorbed_as_cel_says(probe):
    conditions = {"error": ("client.nps > 3", False), "or": ("client.nps > 3 || client.visits == 1", True),
                  "or_after": ("client.visits == 1 || client.nps > 3", True),
                  "and": ("client.nps > 3 && client.visits == 2", False),
                  "has": ("!has(client.nps) && !has(event.page)", True), "mixed": ("client.visits < 1.5", True),
                  "division": ("1 / client.orders > 0", False)}
    out = probe.replay([visit()], [rule(name, VISIT, when=when) for name, (when, _) in conditions.items()])
    assert {sent[0] for sent in out.sent} == {name for name, (_, fires) in conditions.items() if fires} and out.audit == []
