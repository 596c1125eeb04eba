"""Conditions at random, as text for rfmd and as what they come to for one client: each part is made as both at once, so that
nothing here parses, and what it means is written down from the contract and CEL's words.

A part's value is computed from a `Sight`; what fails raises Fault, which `&&` and `||` absorb where the other side decides."""
from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable
from zoneinfo import ZoneInfo

from .decode import Event
from .facts import Facts
from .scores import DAY_MS, Settings

HOUR_MS = 3_600_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
INT_MAX = 2**63 - 1


class Fault(Exception):
    """Absent, no such key, out of range, divided by zero."""


@dataclass(frozen=True)
class Sight:
    facts: Facts
    settings: Settings
    event: Event | None
    now_ms: int
    due: tuple = ()       # (rule, time) of those that wait
    triggers: tuple = ()  # (rule, time) of each rule's last send

    @property
    def state(self) -> dict:
        return self.facts.view(self.now_ms, self.settings)


@dataclass(frozen=True)
class Part:
    text: str
    value: Callable[[Sight], Any]


# -- what may be read


def _known(value):
    if value is None:
        raise Fault("absent")
    return value


def _money(facts: Facts, minor) -> float:
    digits = facts.settings.digits[facts.settings.base_currency]
    return minor / 10**digits


def _average(sight: Sight) -> float:
    text = _known(sight.state["avg_order"])
    return _money(sight.facts, int(text.replace(".", "")))


def _score(name: str) -> Callable[[Sight], float]:
    return lambda sight: float(_known(sight.state.get(name)))


def _event(name: str) -> Callable[[Sight], Any]:
    """What is empty is absent as well."""
    return lambda sight: _known(sight.event.fields.get(name) or None if name != "delta" else sight.event.fields[name])


def _event_amount(sight: Sight) -> float:
    return _money(sight.facts, _known(sight.event.amount_minor))


def _latest(what) -> Callable[[Sight], Any]:
    return lambda sight: _known(sight.facts.profile.latest.get(what, (0, 0, None))[2])


INTS = {
    "client.orders": lambda s: s.facts.orders, "client.refunds": lambda s: s.facts.refunds, "client.x": lambda s: s.facts.x,
    "client.visits": lambda s: s.facts.visits, "client.points": lambda s: s.facts.profile.points,
    "client.open_complaints": lambda s: s.facts.profile.open_complaints(),
}
MAYBE_INTS = {"client.nps": _latest("nps"), "client.traits.age": _latest(("trait", "age"))}
DOUBLES = {"client.revenue": lambda s: _money(s.facts, s.facts.revenue)}
MAYBE_DOUBLES = {"client.avg_order": _average, "client.churn_risk": _score("churn_risk"), "client.p_alive": _score("p_alive"),
                 "client.activity_ratio": _score("activity_ratio"), "client.t_x": _score("t_x"), "client.age": _score("age")}
MAYBE_STRINGS = {"client.traits.tier": _latest(("trait", "tier")), "client.language": _latest("language")}
MAYBE_BOOLS = {"client.traits.vip": _latest(("trait", "vip"))}
MAYBE_TIMES = {"client.first_purchase": lambda s: _known(s.facts.first_ms),
               "client.last_purchase": lambda s: _known(s.facts.last_ms), "client.last_visit": lambda s: _known(s.facts.last_visit_ms)}
OF_EVENT = {  # by type: (ints, doubles, strings, bools); all but those of points and consent may be absent
    "purchase": ({}, {"event.amount": _event_amount}, {n: _event(n[6:]) for n in ("event.order_id", "event.cart_id", "event.coupon")}, {}),
    "refund": ({}, {"event.amount": _event_amount}, {"event.order_id": _event("order_id")}, {}),
    "visit": ({}, {}, {n: _event(n[6:]) for n in ("event.action", "event.cart_id", "event.page")}, {}),
    "message": ({}, {}, {n: _event(n[6:]) for n in ("event.channel", "event.status", "event.campaign")}, {}),
    "consent": ({}, {}, {"event.channel": _event("channel")}, {"event.granted": lambda s: s.event.granted}),
    "points": ({"event.delta": _event("delta")}, {}, {"event.reason": _event("reason")}, {}),
    "feedback": ({}, {"event.score": lambda s: float(_known(s.event.fields.get("score")))}, {"event.kind": _event("kind")}, {}),
    "profile": ({}, {}, {"event.language": _event("language")}, {}),
}
TEXTS = ["a", "b", "gold", "email", "o1", "page_view", "nps", "de", "", "ß€😀"]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]


# -- arithmetic


def _whole(value: int) -> int:
    if not -INT_MAX - 1 <= value <= INT_MAX:
        raise Fault("out of range")
    return value


def _cut(a: int, b: int) -> int:
    if b == 0:
        raise Fault("division by zero")
    return _whole(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))


def _of_doubles(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


INT_OPERATORS = {"+": lambda a, b: _whole(a + b), "-": lambda a, b: _whole(a - b), "*": lambda a, b: _whole(a * b), "/": _cut,
                 "%": lambda a, b: a - b * _cut(a, b)}
DOUBLE_OPERATORS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _of_doubles}


def _order(operator: str, a, b) -> bool:
    if operator in ("==", "!="):
        return (a == b) == (operator == "==")
    if a != a or b != b:
        raise Fault("not a number")
    if isinstance(a, str):
        a, b = a.encode("utf-32-be"), b.encode("utf-32-be")
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


def _both(sight: Sight, sides: list[Part], decides: bool) -> bool:
    """One side that decides is enough, whatever the other is."""
    fault = None
    for side in sides:
        try:
            if side.value(sight) == decides:
                return decides
        except Fault as found:
            fault = fault or found
    if fault:
        raise fault
    return not decides


def _is_there(read: Callable[[Sight], Any]) -> Callable[[Sight], bool]:
    def value(sight: Sight) -> bool:
        try:
            read(sight)
        except Fault:
            return False
        return True
    return value


def quoted(text: str) -> str:
    return '"' + text + '"'


# -- at random


class Maker:
    """`event`: the type of the event that the rule is on; None: none can be read. `waits`: too long for an order's items."""

    def __init__(self, rng: random.Random, event: str | None, waits: bool = False):
        self.rng, self.has_items = rng, event == "purchase" and not waits
        ints, doubles, strings, bools = OF_EVENT.get(event, ({}, {}, {}, {}))
        self.ints, self.maybe_ints = {**INTS}, {**MAYBE_INTS, **ints}
        self.doubles, self.maybe_doubles = {**DOUBLES}, {**MAYBE_DOUBLES, **doubles}
        self.strings, self.bools = {**MAYBE_STRINGS, **strings}, {**MAYBE_BOOLS, **bools}
        if event:
            self.strings |= {"event.type": lambda s: s.event.type, "event.id": lambda s: s.event.id}
        self.times = {**MAYBE_TIMES, "now": lambda s: s.now_ms, **({"event.time": lambda s: s.event.time_ms} if event else {})}

    def _read(self, *tables: dict) -> Part:
        name, value = self.rng.choice([item for table in tables for item in table.items()])
        return Part(name, value)

    def int(self, depth: int) -> Part:
        rng = self.rng
        kind = rng.randrange(8)
        if depth <= 0 or kind < 2:
            number = rng.choice([0, 1, 2, 3, 5, 10, rng.randrange(-50, 50), INT_MAX])
            return Part(str(number) if number >= 0 else f"({number})", lambda _: number)
        if kind < 5:
            return self._read(self.ints, self.maybe_ints)
        if kind == 5:
            text = self.string(depth - 1)
            return Part(f"size({text.text})", lambda s: len(text.value(s)))
        if kind == 6:
            return self._clock(depth)
        operator, a, b = rng.choice(list(INT_OPERATORS)), self.int(depth - 1), self.int(depth - 1)
        return Part(f"({a.text} {operator} {b.text})", lambda s: INT_OPERATORS[operator](a.value(s), b.value(s)))

    def _clock(self, depth: int) -> Part:
        """Of a moment by a wall clock, of a span as a whole."""
        if self.rng.random() < .5:
            span, name = self.duration(depth - 1), self.rng.choice(["getHours", "getMinutes", "getSeconds"])
            unit = {"getHours": HOUR_MS, "getMinutes": 60_000, "getSeconds": 1000}[name]
            return Part(f"({span.text}).{name}()", lambda s: int(math.copysign(abs(v := span.value(s)) // unit, v)))
        at, zone = self.time(), self.rng.choice(ZONES)
        name, read = self.rng.choice([
            ("getHours", lambda w: w.hour), ("getMinutes", lambda w: w.minute), ("getDayOfWeek", lambda w: w.isoweekday() % 7),
            ("getDate", lambda w: w.day), ("getMonth", lambda w: w.month - 1), ("getDayOfYear", lambda w: w.timetuple().tm_yday - 1)])
        return Part(f'{at.text}.{name}("{zone}")',
                    lambda s: read((EPOCH + timedelta(milliseconds=at.value(s))).astimezone(ZoneInfo(zone))))

    def double(self, depth: int) -> Part:
        rng = self.rng
        kind = rng.randrange(6)
        if depth <= 0 or kind == 0:
            number = rng.choice([0.0, 0.5, 10.0, 20.25, round(rng.uniform(-5, 100), 3), round(rng.random(), 3)])
            return Part(repr(number) if number >= 0 else f"({number!r})", lambda _: number)
        if kind < 4:
            return self._read(self.doubles, self.maybe_doubles)
        if kind == 4:
            whole = self.int(depth - 1)
            return Part(f"double({whole.text})", lambda s: float(whole.value(s)))
        operator, a, b = rng.choice(list(DOUBLE_OPERATORS)), self.double(depth - 1), self.double(depth - 1)
        return Part(f"({a.text} {operator} {b.text})", lambda s: DOUBLE_OPERATORS[operator](a.value(s), b.value(s)))

    def string(self, depth: int) -> Part:
        kind = self.rng.randrange(6)
        if depth <= 0 or kind < 2:
            text = self.rng.choice(TEXTS)
            return Part(quoted(text), lambda _: text)
        if kind < 5:
            return self._read(self.strings)
        a, b = self.string(depth - 1), self.string(depth - 1)
        return Part(f"({a.text} + {b.text})", lambda s: a.value(s) + b.value(s))

    def time(self) -> Part:
        return self._read(self.times)

    def duration(self, depth: int) -> Part:
        if depth <= 0 or self.rng.random() < .4:
            minutes = self.rng.choice([0, 30, 90, self.rng.randrange(20 * 1440)])
            return Part(f'duration("{minutes}m")', lambda _: minutes * 60_000)
        a, b = self.time(), self.time()
        return Part(f"({a.text} - {b.text})", lambda s: a.value(s) - b.value(s))

    def bool(self, depth: int) -> Part:
        rng = self.rng
        kinds = [self._both, self._both, self._not, self._choice] if depth > 0 else []
        kinds += [self._compare, self._compare, self._compare, self._has, self._message, self._consent, self._among, self._begins,
                  self._remembered]
        kinds += [self._item] * 4 if self.has_items else []
        return rng.choice(kinds)(depth)

    def _both(self, depth: int) -> Part:
        sides, any_ = [self.bool(depth - 1) for _ in range(self.rng.randrange(2, 4))], self.rng.random() < .5
        text = (" || " if any_ else " && ").join(f"({side.text})" for side in sides)
        return Part(text, lambda s: _both(s, sides, any_))

    def _not(self, depth: int) -> Part:
        side = self.bool(depth - 1)
        return Part(f"!({side.text})", lambda s: not side.value(s))

    def _choice(self, depth: int) -> Part:
        a, b, c = (self.bool(depth - 1) for _ in range(3))
        return Part(f"({a.text}) ? ({b.text}) : ({c.text})", lambda s: (b if a.value(s) else c).value(s))

    def _compare(self, depth: int) -> Part:
        operator = self.rng.choice(["<", "<=", ">", ">=", "==", "!="])
        kind = self.rng.randrange(5)
        if kind < 3:
            a, b = self.rng.choice([self.int, self.double])(depth), self.rng.choice([self.int, self.double])(depth)
        elif kind == 3:
            a, b = self.string(depth), self.string(depth)
        else:
            a, b = self.duration(depth + 1), self.duration(0)
        return Part(f"{a.text} {operator} {b.text}", lambda s: _order(operator, a.value(s), b.value(s)))

    def _has(self, _depth: int) -> Part:
        tables = (self.maybe_ints, self.maybe_doubles, self.strings, self.bools, MAYBE_TIMES)
        read = self._read(*({n: v for n, v in table.items() if n not in ("event.type", "event.id")} for table in tables))
        return Part(f"has({read.text})", _is_there(read.value))

    def _message(self, _depth: int) -> Part:
        channel, status = self.rng.choice(["email", "push", "sms", "fax"]), self.rng.choice(["delivered", "bounced", "clicked"])
        count = lambda s: _known(s.facts.messages.get(channel, {}).get(status) or None)  # noqa: E731
        return self.rng.choice([
            Part(f"client.messages.{channel}.{status} > 1", lambda s: count(s) > 1),
            Part(f'"{channel}" in client.messages', lambda s: channel in s.facts.messages),
            Part(f'has(client.messages.{channel})', lambda s: channel in s.facts.messages),
            Part("size(client.messages) > 1", lambda s: len(s.facts.messages) > 1)])

    def _consent(self, _depth: int) -> Part:
        channel, class_ = self.rng.choice(["email", "push", "sms"]), self.rng.choice(["marketing", "transactional"])
        return Part(f"client.consent.{channel}.{class_}", lambda s: _known(s.facts.consent.get((channel, class_)))[1])

    def _among(self, depth: int) -> Part:
        text, texts = self.string(depth), self.rng.sample(TEXTS, 3)
        written = "[" + ", ".join(quoted(each) for each in texts) + "]"
        if self.rng.random() < .5:
            return Part(f"{text.text} in {written}", lambda s: text.value(s) in texts)
        every = self.rng.random() < .5
        sides = [lambda s, each=each: _order("<", each, text.value(s)) for each in texts]
        return Part(f"{written}.{'all' if every else 'exists'}(item, item < {text.text})",
                    lambda s: _both(s, [Part("", side) for side in sides], not every))

    def _remembered(self, _depth: int) -> Part:
        """What waits, and what was sent, as it is when the rule is asked."""
        rule, hours = f"r{self.rng.randrange(4)}", self.rng.randrange(1, 200)
        recent = lambda s: any(r == rule and s.now_ms - t < hours * HOUR_MS for r, t in s.triggers)  # noqa: E731
        return self.rng.choice([
            Part(f'client.triggers.exists(t, t.rule == "{rule}" && now - t.time < duration("{hours}h"))', recent),
            Part("size(client.triggers) > 2", lambda s: len(s.triggers) > 2),
            Part(f'client.due.all(d, d.rule != "{rule}")', lambda s: all(r != rule for r, _ in s.due)),
            Part(f'client.due.exists(d, d.time - now > duration("{hours}h"))',
                 lambda s: any(t - s.now_ms > hours * HOUR_MS for _, t in s.due))])

    def _item(self, _depth: int) -> Part:
        items = lambda s: s.event.fields.get("items", [])  # noqa: E731
        category, least = self.rng.choice("ab"), self.rng.randrange(30)
        return self.rng.choice([
            Part(f'event.items.exists(i, i.category == "{category}")', lambda s: any(i["category"] == category for i in items(s))),
            Part(f"event.items.all(i, i.price * i.quantity >= {least}.0)",
                 lambda s: all(i["price"] * i["quantity"] >= least for i in items(s))),
            Part("size(event.items) > 1", lambda s: len(items(s)) > 1)])

    def _begins(self, depth: int) -> Part:
        a, b = self.string(depth), self.string(0)
        name, holds = self.rng.choice([("startsWith", str.startswith), ("endsWith", str.endswith), ("contains", str.__contains__)])
        return Part(f"({a.text}).{name}({b.text})", lambda s: holds(a.value(s), b.value(s)))


def random_condition(rng: random.Random, event: str | None, waits: bool = False) -> Part:
    return Maker(rng, event, waits).bool(rng.randrange(4))


def holds(condition: Part, sight: Sight) -> bool:
    try:
        return condition.value(sight)
    except Fault:
        return False
