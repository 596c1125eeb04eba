"""What the contract says of events and state, at its borders; expected values come from its text alone."""
import itertools
import math
import random
import re
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

import pytest
import xxhash

from harness.probe import DAY_MS, HOUR_MS, T0, Probe, consent, event, purchase, rule, visit
from harness.rfmd import MODEL
from reference.decode import time_text

pytestmark = pytest.mark.rfmd
TRAITS = {"s": "string", "i": "int", "d": "double", "b": "bool", "dt": "date", "ts": "timestamp"}
SCORES = {"as_of", "age", "rfm", "segment", "previous_segment", "segment_since", "lifecycle", "p_alive", "p_active",
          "churn_risk",
          "activity_ratio", "expected_next_purchase", "expected_orders", "ltv", "due", "triggers"}


@pytest.fixture
def probe(tmp_path):
    return Probe(tmp_path)


# -- events


TIMES = [  # what is written, and what it is: a time, or the reason why not
    ("2026-03-02T12:00:00Z", T0), ("2026-03-02t12:00:00z", T0), ("2026-03-02T13:00:00+01:00", T0),
    ("2026-03-02T01:30:00-10:30", T0), ("2026-03-02T12:00:00.5Z", T0 + 500), ("2026-03-02T12:00:00.123456789Z", T0 + 123),
    (T0, T0), (T0 - 1, T0 - 1), ("1990-01-01T00:00:00Z", 631152000000), (631152000000, 631152000000),
    ("1989-12-31T23:30:00-01:00", 631153800000), ("2024-02-29T00:00:00Z", 1709164800000),
    (631151999999, "time_too_old"), (0, "time_too_old"), (-1, "time_too_old"), ("1989-12-31T23:59:59.999Z", "time_too_old"),
    ("1990-01-01T00:30:00+01:00", "time_too_old"), ("2026-03-02T12:00:00", "bad_time"), ("2026-03-02", "bad_time"),
    ("2026-02-29T00:00:00Z", "bad_time"), ("2026-03-02T24:00:00Z", "bad_time"), ("2026-03-02T12:00Z", "bad_time"),
    ("2026-03-02T12:00:00+0100", "bad_time"), (str(T0), "bad_time"), (T0 + 0.5, "bad_time"), (True, "bad_time"),
    ([T0], "bad_time"), (None, "missing_field"),
]


def test_times(probe):
    events = [visit("first"), *(visit(f"c{i}", time=written) for i, (written, _) in enumerate(TIMES))]
    out = probe.replay(events)
    reasons = out.reason_of()
    found = [out.clients[f"c{i}"]["last_visit"] if f"c{i}" in out.clients else reasons[f"c{i}"] for i in range(len(TIMES))]
    assert found == [time_text(expected) if isinstance(expected, int) else expected for _, expected in TIMES]


AMOUNTS = [("0.01", "0.01"), ("12.3", "12.30"), (10, "10.00"), (10.25, "10.25"), ("1e2", "100.00"),
           ("92233720368547758.07",) * 2,
           ("10.001", None), (10.255, None), ("-0.01", None), (-1, None), ("ten", None), ("", None), ("NaN", None),
           (" 1", None),
           ("92233720368547758.08", None), (1e300, None)]


def test_amounts(probe):
    out = probe.replay([purchase(f"c{i}", amount=amount) for i, (amount, _) in enumerate(AMOUNTS)])
    reasons = out.reason_of()
    for i, (amount, expected) in enumerate(AMOUNTS):
        found = out.clients[f"c{i}"]["revenue"] if f"c{i}" in out.clients else reasons[f"c{i}"]
        assert found == (expected or "bad_amount"), amount


def test_conversion_is_half_even(probe):
    rates, digits = {"USD": "0.925", "JPY": "0.0061", "KWD": "3", "GBP": "1.15"}, {"USD": 2, "JPY": 0, "KWD": 3, "GBP": 2}
    rng, events, expected = random.Random(4), [], {}
    for number in range(400):
        currency = rng.choice(sorted(rates))
        amount = Decimal(rng.randrange(1, 100_000)).scaleb(-digits[currency])
        events.append(purchase(f"c{number}", amount=str(amount), currency=currency))
        expected[f"c{number}"] = (amount * Decimal(rates[currency])).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    wrong = {"yen": ("1.5", "JPY", "bad_amount"), "dinar": ("1.2345", "KWD", "bad_amount"),
             "franc": ("1", "CHF", "unknown_currency"), "small": ("1", "eur", "unknown_currency")}
    events += [purchase(name, amount=amount, currency=currency) for name, (amount, currency, _) in wrong.items()]
    out = probe.replay(events, money={"base_currency": "EUR", "rates": rates})
    assert {name: Decimal(state["revenue"]) for name, state in out.clients.items()} == expected
    assert out.reason_of() == {name: reason for name, (_, _, reason) in wrong.items()}


@pytest.mark.parametrize("base, revenue, mean", [("JPY", "17", "8"), ("KWD", "17.000", "8.500"), ("EUR", "17.00", "8.50")])
def test_money_has_the_base_currency_s_digits(probe, base, revenue, mean):
    state = probe.replay([purchase(amount="12", currency=base), purchase(amount="5", currency=base)],
                         money={"base_currency": base}).clients["c"]
    assert (state["revenue"], state["avg_order"], state["currency"]) == (revenue, mean, base)
    assert state["ltv"]["historic"] == revenue


def test_an_order_of_nothing_changes_no_fact(probe):
    nothing = purchase(amount="0", campaign="spring", items=[{"sku": "s", "category": "shoes"}])
    out = probe.replay([visit(), nothing], [rule("r", {"event": "purchase"}), rule("n", {"enter": {"lifecycle": "new"}})])
    only = probe.replay([visit()])
    assert facts(out.clients["c"]) == facts(only.clients["c"]) and [sent[0] for sent in out.sent] == ["r"]


def facts(state: dict) -> dict:
    return {name: value for name, value in state.items() if name not in SCORES | {"client_id"}}


NEEDED = {"purchase": {"order_id": "o", "amount": "5", "currency": "EUR"}, "refund": {"order_id": "o"}, "visit": {},
          "message": {"status": "sent", "channel": "email"}, "feedback": {"kind": "nps", "score": 5},
          "consent": {"channel": "email", "granted": True}, "profile": {}, "points": {"delta": 1},
          "cost": {"amount": "1", "currency": "EUR"}, "erase": {}}
TEXTS = {"purchase": "order_id currency channel coupon cart_id campaign", "refund": "order_id currency",
         "visit": "channel action page sku category cart_id campaign", "message": "status channel campaign trigger_id class",
         "feedback": "kind case_id", "consent": "channel class source", "profile": "timezone language", "points": "reason",
         "cost": "currency channel campaign"}


def test_each_field_of_each_type(probe):
    """Unknown fields and optional nulls are taken; what is needed is missed; a wrong type is one."""
    events, expected = [], {}

    def add(type_, reason, /, **fields):
        name = f"{type_} {sorted(fields.items())} {reason}"
        events.append(event(type_, name, **{**NEEDED[type_], **fields}))
        expected[name] = reason

    for type_, needed in NEEDED.items():
        add(type_, None, unknown={"a": [1, {"b": None}]})
        for field in needed:
            add(type_, "missing_field", **{field: None})
        for field in TEXTS.get(type_, "").split():
            for value in (5, True, [], {}):
                add(type_, "wrong_type", **{field: value})
            if field not in needed:
                add(type_, None, **{field: None})
    for type_, field, values in (("purchase", "items", ({}, "x", [5], ["a"])), ("profile", "traits", ([], "x", 5)),
                                 ("consent", "granted", ("yes", 1, [])), ("message", "permanent", ("no", 0)),
                                 ("feedback", "score", ("5", True, [])), ("points", "delta", ("5", [], True)),
                                 ("purchase", "amount", (True, [], {}))):
        for value in values:
            add(type_, "wrong_type", **{field: value})
    for type_, field, value in (("message", "status", "eaten"), ("feedback", "kind", "rant"), ("consent", "class", "spam"),
                                ("feedback", "score", 11), ("feedback", "score", 4.5), ("points", "delta", 1.5)):
        add(type_, "bad_value", **{field: value})
    reasons = probe.replay(events).reason_of()
    assert reasons == {name: reason for name, reason in expected.items() if reason}


def test_lengths_and_shapes(probe):
    good = {"byte": "x", "most": "x" * 128, "two bytes each": "é" * 64, "odd": ' "\\\n\u0000'}
    out = probe.replay([visit(client) for client in good.values()])
    assert set(out.clients) == set(good.values()) and out.dead_letters == []
    values = ["null", "[]", "5", '"x"', "{", "not json", "{}{}", "{'a': 1}", '{"a": NaN}', '{"a": "\\ud800"}', '{"a": 01}']
    assert probe.replay(values).reasons == ["malformed"] * len(values)
    deep = '{"type": "visit", "id": "d", "client_id": "d", "time": 1772452800000, "x": ' + "[" * 17 + "]" * 17 + "}"
    bad = [visit(""), visit("x" * 129), visit("é" * 64 + "x"), visit(id=""), deep, visit(more="x" * 300_000),
           visit(type="dance"), visit(type="Visit"), visit(type=None), visit(type=5)]
    assert probe.replay(bad).reasons == ["bad_value", "too_large", "too_large", "bad_value", "too_deep", "too_large",
                                         "unknown_type", "unknown_type", "missing_field", "wrong_type"]


# -- repeats and refunds


def visits_with(between: list[dict], again: dict) -> list[dict]:
    return [{**again, "time": T0}, *between, again]


def test_windows_of_repeats(probe):
    """Among the last 32 accepted by arrival, within 48 h; orders among the last 16, within 90 days."""
    cases = {
        "31 between": (visits_with([visit(id=f"v{i}") for i in range(31)], visit(id="X")), 1),
        "32 between": (visits_with([visit(id=f"v{i}") for i in range(32)], visit(id="X")), 0),
        "31 of other types": (visits_with([event("points", id=f"v{i}", delta=1) for i in range(31)], visit(id="X")), 1),
        "repeats take no place": (visits_with([visit(id="v")] * 40, visit(id="X")), 40),
        "a repeat is not accepted anew": ([visit(id="X"), *(visit(id=f"v{i}") for i in range(20)), visit(id="X"),
                                           *(visit(id=f"w{i}") for i in range(12)), visit(id="X")], 1),
        "another type": ([visit(id="X"), event("points", id="X", delta=1)], 0),
        "48 h": (visits_with([], visit(at_ms=48 * HOUR_MS, id="X")), 1),
        "48 h back": (visits_with([], visit(at_ms=-48 * HOUR_MS, id="X")), 1),
        "more than 48 h": (visits_with([], visit(at_ms=48 * HOUR_MS + 1000, id="X")), 0),
        "an order after 15": ([purchase(order_id="X"), *(purchase() for _ in range(15)), purchase(order_id="X")], 1),
        "an order after 16": ([purchase(order_id="X"), *(purchase() for _ in range(16)), purchase(order_id="X")], 0),
        "an order after 90 d": ([purchase(order_id="X"), purchase(at_ms=90 * DAY_MS, order_id="X")], 1),
        "more than 90 d": ([purchase(order_id="X"), purchase(at_ms=90 * DAY_MS + 1000, order_id="X")], 0),
        "the first order counts": ([purchase(order_id="X", amount="5"), purchase(order_id="X", amount="50")], 1),
    }
    on_each = [rule(f"r_{name}", {"event": name}) for name in ("visit", "purchase", "points")]
    for name, (events, repeats) in cases.items():
        out = probe.replay([{**e, "client_id": name} for e in events], on_each)
        assert len(out.triggers) == len(events) - repeats, name
        state = out.clients[name]
        assert state["orders"] + state["visits"] + state["points"] == len(events) - repeats, name


REFUNDS = {  # events of one client, and in any order: (orders, refunds, revenue)
    "two parts": ([("o", "100"), ("r", "30"), ("r", "50")], (1, 2, "20.00")),
    "parts beyond the order": ([("o", "100"), ("r", "80"), ("r", "50")], (1, 2, "0.00")),
    "a part and the rest": ([("o", "100"), ("r", None), ("r", "50")], (1, 2, "0.00")),
    "the whole twice": ([("o", "100"), ("r", None), ("r", None)], (1, 2, "0.00")),
    "the order's currency": ([("o", "100", "USD"), ("r", "30"), ("r", "10", "EUR")], (1, 2, "25.00")),
    "a part without its order": ([("r", "30")], (0, 1, "-30.00")),
    "the whole without its order": ([("r", None)], (0, 0, "0.00")),
}


def refund_event(number: int, kind: str, amount, currency=None) -> dict:
    fields = {"order_id": "o", **({"amount": amount} if amount else {}), **({"currency": currency} if currency else {})}
    if kind == "o":
        return event("purchase", id=f"p{number}", **{"currency": "EUR", **fields})
    return event("refund", id=f"r{number}", **fields)


def test_refunds_in_every_order(probe):
    events, expected = [], {}
    for name, (parts, facts_) in REFUNDS.items():
        made = [refund_event(number, *part) for number, part in enumerate(parts)]
        for number, order in enumerate(itertools.permutations(made)):
            events += [{**e, "client_id": f"{name} {number}"} for e in order]
            expected[f"{name} {number}"] = facts_
    out = probe.replay(events, money={"base_currency": "EUR", "rates": {"USD": "0.5"}})
    assert {name: (s["orders"], s["refunds"], s["revenue"]) for name, s in out.clients.items()} == expected
    assert out.dead_letters == []


def test_refunds_wait_among_the_last_sixteen(probe):
    for waiting, counts in ((15, True), (16, False)):
        others = [purchase() for _ in range(waiting)]
        out = probe.replay([event("refund", order_id="X", id="r"), *others, purchase(order_id="X")])
        assert (out.clients["c"]["refunds"], out.reasons) == ((1, []) if counts else (0, ["unknown_order"]))
        assert out.clients["c"]["revenue"] == f"{10 * (waiting + (not counts))}.00"


# -- facts in any order


def random_event(rng: random.Random, number: int) -> dict:
    at_ms = rng.randrange(30 * DAY_MS) if rng.random() < 0.7 else rng.randrange(3) * 1000
    type_ = rng.choice([name for name in NEEDED if name != "erase"])
    fields = {
        "purchase": lambda: {"order_id": f"o{number}", "amount": rng.randrange(50), "currency": "EUR",
                             "items": [{"category": rng.choice("xyz")} for _ in range(rng.randrange(3))],
                             "campaign": rng.choice(["A", "B", None])},
        "refund": lambda: {"order_id": f"o{rng.randrange(8)}", "amount": rng.choice([None, 3, 30])},
        "visit": lambda: {"campaign": rng.choice(["A", "D", None])},
        "message": lambda: {"channel": rng.choice(["email", "sms"]), "status": rng.choice(
            ["sent", "delivered", "opened", "clicked", "replied", "bounced", "complained", "unsubscribed"])},
        "feedback": lambda: {"kind": rng.choice(["nps", "csat", "review", "complaint", "resolved"]),
                             "score": rng.randrange(6),
                             "case_id": rng.choice(["a", "b", None])},
        "consent": lambda: {"channel": rng.choice(["email", "sms"]), "granted": rng.random() < 0.5,
                            "class": rng.choice(["transactional", None])},
        "profile": lambda: {"traits": {rng.choice("sidb"): rng.choice(["q", 3, 1.5, True, None])},
                            "timezone": rng.choice(["UTC", "Europe/Berlin", None]),
                            "language": rng.choice(["de", "en", None])},
        "points": lambda: {"delta": rng.randrange(-5, 6)},
        "cost": lambda: {"amount": "3", "currency": "EUR", "campaign": rng.choice(["A", "C"])},
    }[type_]()
    return event(type_, at_ms=at_ms, **fields)


def test_facts_are_those_of_the_set(probe):
    rng, events, orders = random.Random(5), [], 5
    for story in range(60):
        own = [random_event(rng, number) for number in range(rng.randrange(4, 30))]
        for order in range(orders):
            events += [{**e, "client_id": f"{story} {order}"} for e in rng.sample(own, len(own))]
    out = probe.replay(events, traits={name: {"type": kind} for name, kind in TRAITS.items()})
    assert out.dead_letters == [] and len(out.clients) == 60 * orders
    for story in range(60):
        first = facts(out.clients[f"{story} 0"])
        assert all(facts(out.clients[f"{story} {order}"]) == first for order in range(1, orders)), story


def test_the_latest_wins(probe):
    def language(ids, at_ms):
        return [event("profile", f"{ids} {at_ms}", id=ids[0], language="one"),
                event("profile", f"{ids} {at_ms}", at_ms, id=ids[1], language="two")]

    cases = {(("a", "b"), 0): "two", (("b", "a"), 0): "one", (("Z", "a"), 0): "two", (("é", "z"), 0): "one",
             (("b", "a"), 1): "two", (("a", "b"), -1): "one"}
    out = probe.replay(itertools.chain(*(language(*case) for case in cases)))
    assert {case: out.clients[f"{case[0]} {case[1]}"]["language"] for case in cases} == cases
    for granted in (True, False):
        both = [consent("c", granted=granted, id="a"), consent("c", granted=not granted, id="b")]
        assert probe.replay(both).clients["c"]["consent"] == {"email": {"marketing": False}}


@pytest.mark.parametrize("back, x", [(63, 2), (64, 3)])
def test_lateness_of_63_days(probe, back, x):
    """A day is known as one of purchase within 63 days before the newest; an older one counts anew."""
    late = purchase(at_ms=-back * DAY_MS)
    state = probe.replay([purchase(at_ms=-200 * DAY_MS), late, purchase(), {**late, "id": "2", "order_id": "2"}]).clients["c"]
    assert (state["x"], state["t_x"], state["orders"]) == (x, 200, 4)


# -- scores


def monetary_edges() -> list[int]:
    edges = [1]
    while edges[-1] < 10**9:
        edges.append(max(edges[-1] + 1, -(-101 * edges[-1] // 100)))
    return edges


EDGES = monetary_edges()
THRESHOLDS = {"r": [-365, -180, -90, -30], "f": [2, 3, 5, 10], "m": [5000, 10000, 25000, 50000]}


def bucket(minor: int) -> int:
    return sum(edge <= minor for edge in EDGES) if minor > 0 else 0


def fixed(axis: str, value: int) -> int:
    return 1 + sum(value >= threshold for threshold in THRESHOLDS[axis])


def fifth(value, everybody: list) -> int:
    return min(5, 1 + 5 * sum(other < value for other in everybody) // len(everybody))


def test_fixed_thresholds(probe):
    days = [(30, 5), (31, 4), (90, 4), (91, 3), (180, 3), (181, 2), (365, 2), (366, 1)]
    events = [purchase(f"r{back}", -back * DAY_MS) for back, _ in reversed(days)]
    orders = [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (9, 4), (10, 5), (11, 5)]
    events += [purchase(f"f{count}", amount="1") for count, _ in orders for _ in range(count)]
    money = [("0.01", 1), ("49.99", 1), ("50", 2), ("99.99", 2), ("100", 3), ("249.99", 3), ("250", 4), ("499.99", 4),
             ("500", 5)]
    events += [purchase(f"m{amount}", amount=amount) for amount, _ in money]
    clients = probe.replay(events).clients
    for axis, cases in (("r", days), ("f", orders), ("m", money)):
        assert [(value, clients[f"{axis}{value}"]["rfm"][axis]) for value, _ in cases] == cases


@pytest.mark.parametrize("count, axes", [(99, {}), (100, {}), (137, {}), (137, {"f": "population"}), (137, {"r": "fixed"})])
def test_fifths_of_the_population(probe, count, axes):
    rng, events, known = random.Random(count), [], {}
    amounts = [1, 100, 101, 102, 1000, 1010, 1011, 5000, 5050, 5051, 20000]
    for number in range(count):
        days, revenue = [], 0
        for order in range(rng.choice([1, 1, 1, 2, 3, 6])):
            at_ms, amount = rng.randrange(12) * DAY_MS + rng.randrange(HOUR_MS), rng.choice(amounts)
            days.append((T0 + at_ms) // DAY_MS)
            revenue += amount
            events.append(purchase(f"c{number}", at_ms, f"{amount // 100}.{amount % 100:02}", order_id=f"o{order}"))
        if rng.random() < 0.1:
            events.append(event("refund", f"c{number}", 12 * DAY_MS, order_id="o0", amount="0.01"))
            revenue -= 1
        known[f"c{number}"] = (max(days), len(days), bucket(revenue), revenue)
    events += [visit(f"v{number}", 12 * DAY_MS) for number in range(20)]
    out = probe.replay(sorted(events, key=lambda e: e["time"]), until_ms=40 * DAY_MS,
                       rfm={"r": "population", "m": "population", **axes})
    today = (T0 + 40 * DAY_MS) // DAY_MS
    population = {"r": "population", "f": "fixed", "m": "population", **axes} if count >= 100 else dict.fromkeys("rfm")
    for name, (day, orders, level, revenue) in known.items():
        expected = {axis: fifth(own, [other[place] for other in known.values()]) if population[axis] == "population"
                    else fixed(axis, plain)
                    for place, (axis, own, plain) in enumerate((("r", day, day - today), ("f", orders, orders),
                                                                ("m", level, revenue)))}
        assert out.clients[name]["rfm"] == expected, name
    assert out.clients["v0"]["rfm"] is None and out.clients["v0"]["segment"] == out.clients["v0"]["lifecycle"] == "prospect"


CLASSIC = {"champions": "555 554 544 545 454 455 445", "loyal": "543 444 435 355 354 345 344 335",
           "potential_loyalist": "553 551 552 541 542 533 532 531 452 451 442 441 431 453 433 432 423 353 352 351 342 341 333 323",
           "new_customers": "512 511 422 421 412 411 311",
           "promising": "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313",
           "need_attention": "535 534 443 434 343 334 325 324", "about_to_sleep": "331 321 312 221 213 231 241 251",
           "at_risk_customers": "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124",
           "cannot_lose": "155 154 144 214 215 115 114 113", "hibernating": "332 322 233 232 223 222 132 123 122 212 211",
           "lost": "111 112 121 131 141 151"}
SMALL = ("[1-2][1-2] hibernating; [1-2][3-4] at_risk_customers; [1-2]5 cannot_lose; 3[1-2] about_to_sleep; 33 need_attention; "
         "[3-4][4-5] loyal; 41 promising; 51 new_customers; [4-5][2-3] potential_loyalist; 5[4-5] champions")
CELLS = {"classic-11": {cell: name for name, cells in CLASSIC.items() for cell in cells.split()},
         "rf-10": {f"{r}{f}{m}": name for r, f, m in itertools.product(range(1, 6), repeat=3)
                   for pattern, name in (part.split() for part in SMALL.split("; ")) if re.fullmatch(pattern, f"{r}{f}")}}


@pytest.mark.parametrize("preset", sorted(CELLS))
def test_segments_of_the_presets(probe, preset):
    days, orders, cents = [-400, -300, -100, -60, 0], [1, 2, 3, 5, 10], [1000, 6000, 12000, 30000, 60000]
    events = []
    for r, f, m in itertools.product(range(5), repeat=3):
        first = cents[m] - (orders[f] - 1) * 100
        events += [purchase(f"{r + 1}{f + 1}{m + 1}", days[r] * DAY_MS,
                            "1" if n else f"{first // 100}") for n in range(orders[f])]
    out = probe.replay(sorted(events, key=lambda e: e["time"]), segments=preset)
    assert len(CELLS[preset]) == 125
    assert {name: state["segment"] for name, state in out.clients.items()} == CELLS[preset]


def scores(model: dict, x: int, t_x: float, idle_days: float, horizon_days: float) -> tuple[float, float]:
    """Churn risk and activity ratio."""
    unit = 7 if model["unit"] == "week" else 1
    fade = 1 if model["evidence_cap"] == "none" else 1 / (1 + x / model["evidence_cap"])
    s, beta, d = model["r"] + x * fade, model["alpha"] + t_x / unit * fade, model["a"] / (model["b"] + x)

    def active(u: float) -> float:
        alive = 1 / (1 + d * math.exp(s * math.log1p(u / beta)))
        return alive * -math.expm1(-s * math.log1p(horizon_days / unit / (beta + u)))

    return 1 - active(idle_days / unit), active(idle_days / unit) / active(0)


DAILY = {"model": "mbg_nbd", "unit": "day", "r": 0.8, "alpha": 30, "a": 0.6, "b": 2, "evidence_cap": "none"}


@pytest.mark.parametrize("zone, model", [("UTC", MODEL), ("America/New_York", DAILY), ("Pacific/Auckland", MODEL)])
def test_days_and_lifecycle(probe, zone, model):
    rng, events, known = random.Random(3), [], {}
    for number in range(250):
        times = [rng.randrange(30 * DAY_MS) + number % 3 * 200 * DAY_MS]
        for _ in range(rng.choice([0, 1, 1, 2, 4])):
            times.append(times[-1] + rng.choice([rng.randrange(1, DAY_MS), rng.randrange(30 * DAY_MS),
                                                 rng.randrange(400 * DAY_MS)]))
        known[f"c{number}"] = times
        events += [purchase(f"c{number}", at_ms) for at_ms in times]
    until_ms = 450 * DAY_MS
    events = sorted((e for e in events if e["time"] <= T0 + until_ms), key=lambda e: e["time"])
    out = probe.replay(events, until_ms=until_ms, model=model, rfm={"r": "fixed", "m": "fixed", "timezone": zone},
                       churn={"horizon": "60d"})
    assert {state["lifecycle"] for state in out.clients.values()} == {"new", "active", "at_risk", "lapsed", "reactivated"}
    for name, times in known.items():
        times = [T0 + at_ms for at_ms in times if at_ms <= until_ms]
        expected = standing(times, T0 + until_ms, ZoneInfo(zone), model)
        state = out.clients[name]
        assert (state["x"], state["t_x"], state["lifecycle"]) == expected[:3], name
        assert state["churn_risk"] == pytest.approx(expected[3], abs=1e-12)
        assert state["activity_ratio"] == pytest.approx(expected[4], abs=1e-12)
        assert state["age"] == pytest.approx(expected[1] + (T0 + until_ms - times[-1]) / DAY_MS, abs=1e-9)


def standing(times: list[int], now_ms: int, zone: ZoneInfo, model: dict) -> tuple:
    def day(time_ms: int) -> int:
        return datetime.fromtimestamp(time_ms / 1000, zone).toordinal()

    days = sorted({day(time_ms) for time_ms in times})
    x, t_x = len(days) - 1, days[-1] - days[0]
    risk, ratio = scores(model, x, t_x, (now_ms - times[-1]) / DAY_MS, 60)
    if ratio <= 0.2:
        return x, t_x, "lapsed", risk, ratio
    if x > 0:
        begin_ms = datetime.fromordinal(days[-1]).replace(tzinfo=zone).timestamp() * 1000
        before = max(time_ms for time_ms in times if day(time_ms) < days[-1])
        if scores(model, x - 1, days[-2] - days[0], (begin_ms - before) / DAY_MS, 60)[1] <= 0.2:
            return x, t_x, "reactivated", risk, ratio
    return x, t_x, "at_risk" if ratio <= 0.5 else "new" if x == 0 else "active", risk, ratio


def first_second(holds, from_ms: int, to_ms: int) -> int | None:
    """The first whole second of the clock at which it holds; it goes on holding."""
    low, high = -(-from_ms // 1000), to_ms // 1000
    if not holds(high * 1000):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle * 1000) else (middle + 1, high)
    return low * 1000


@pytest.mark.parametrize("model", [MODEL, DAILY], ids=["week", "day"])
def test_moments_of_crossings(probe, model):
    rules = [rule("falls", {"fall": {"activity_ratio": 0.37}}), rule("rises", {"rise": {"churn_risk": 0.9}}),
             rule("late", {"late": 0.9}), rule("idle", {"idle": {"since": "purchase", "for": "60d"}}),
             rule("lapsed", {"enter": {"lifecycle": "lapsed"}})]
    rng, events, known, until_ms = random.Random(11), [], {}, 700 * DAY_MS
    for number in range(40):
        times = sorted(T0 + rng.randrange(100 * DAY_MS) for _ in range(rng.choice([1, 2, 3, 8])))
        known[f"c{number}"] = times
        events += [purchase(f"c{number}", time=time_ms) for time_ms in times]
    out = probe.replay(sorted(events, key=lambda e: e["time"]), rules, until_ms, model=model, churn={"horizon": "60d"})
    found = {(client, name): at_ms for name, client, at_ms in out.sent if T0 + at_ms > known[client][-1]}
    expected = {(client, name): at_ms - T0 for client, times in known.items()
                for name, at_ms in moments(times, T0 + until_ms, model).items() if at_ms}
    assert found == expected


def moments(times: list[int], until_ms: int, model: dict) -> dict:
    days = sorted({time_ms // DAY_MS for time_ms in times})
    x, t_x, last = len(days) - 1, days[-1] - days[0], times[-1]

    def first(holds):
        return first_second(lambda now_ms: holds(*scores(model, x, t_x, (now_ms - last) / DAY_MS, 60)), last, until_ms)

    starts_at_risk = scores(model, x, t_x, 0, 60)[0] >= 0.9
    unit = 7 if model["unit"] == "week" else 1
    fade = 1 if model["evidence_cap"] == "none" else 1 / (1 + x / model["evidence_cap"])
    gap_ms = (model["alpha"] + t_x / unit * fade) * (0.1 ** (-1 / (model["r"] + x * fade)) - 1) * unit * DAY_MS
    return {"falls": first(lambda risk, ratio: ratio <= 0.37), "lapsed": first(lambda risk, ratio: ratio <= 0.2),
            "rises": None if starts_at_risk else first(lambda risk, ratio: risk >= 0.9), "idle": last + 60 * DAY_MS,
            "late": None if x == 0 else first_second(lambda now_ms: now_ms >= last + gap_ms, last, until_ms)}


def test_the_population_moves_at_events_and_daily_looks(probe):
    """Edges at each full hour; a client's segment is seen at its events and at its own minute of each day."""
    rng, events = random.Random(2), []
    for number in range(120):
        start = rng.randrange(10 * DAY_MS)
        for order in range(rng.choice([1, 1, 2, 4])):
            events.append((start + (rng.randrange(12 * DAY_MS) if order else 0), f"c{number}", rng.randrange(1, 30_000)))
    events.sort()
    rules = [rule(f"in_{name}", {"enter": {"segment": name}}) for name in CLASSIC]
    out = probe.replay([purchase(client, at_ms, f"{cents // 100}.{cents % 100:02}") for at_ms, client, cents in events],
                       rules,
                       25 * DAY_MS, rfm={"r": "population", "m": "population"})
    assert sorted((client, at_ms, name) for name, client, at_ms in out.sent) == sorted(entries(events, 25 * DAY_MS))


def entries(events: list[tuple], until_ms: int) -> list[tuple]:
    first_hour = T0 // HOUR_MS * HOUR_MS - T0
    acts = [(at_ms, 0, "", 0) for at_ms in range(first_hour, until_ms + 1, HOUR_MS)]
    acts += [(at_ms, 1, client, cents) for at_ms, client, cents in events]
    for client in {client for _, client, _ in events}:
        minute_ms = xxhash.xxh3_64_intdigest(client.encode()) % 1440 * 60_000
        acts += [(at_ms, 2, client, 0) for at_ms in range(minute_ms - T0 % DAY_MS, until_ms + 1, DAY_MS) if at_ms > 0]
    known, edges, inside, found = {}, {}, {}, []
    for at_ms, kind, client, cents in sorted(acts):
        if kind == 0:
            edges = {axis: [own[axis] for own in known.values()] for axis in "dm"}
            continue
        if kind == 1:
            own = known.get(client, {"orders": 0, "cents": 0})
            cents += own["cents"]
            known[client] = {"d": (T0 + at_ms) // DAY_MS, "orders": own["orders"] + 1, "cents": cents, "m": bucket(cents)}
        if client in known and (name := segment(known[client], edges, (T0 + at_ms) // DAY_MS)) != inside.get(client):
            inside[client] = name
            found.append((client, at_ms, f"in_{name}"))
    return found


def segment(own: dict, edges: dict, today: int) -> str:
    if len(edges["d"]) < 100:
        r, m = fixed("r", own["d"] - today), fixed("m", own["cents"])
    else:
        r, m = fifth(own["d"], edges["d"]), fifth(own["m"], edges["m"])
    return CELLS["classic-11"][f"{r}{fixed('f', own['orders'])}{m}"]
