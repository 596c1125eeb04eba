"""Seeded traffic of a shop with everything that goes wrong in it: repeats, refunds, malformed and late events.

No client gets more than 30 events, so that what is a repeat does not depend on how the input topics interleave."""
from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

DAY_MS = 86_400_000
EVENTS_PER_CLIENT_MAX = 30
CATEGORIES = ("books", "music", "garden", "toys", "food", "shoes")
CHANNELS = ("email", "push", "sms")
TOPIC_OF = {"purchase": "purchases", "refund": "purchases", "visit": "visits", "message": "messages", "consent": "messages",
            "feedback": "messages", "profile": "visits", "points": "purchases", "cost": "messages"}


@dataclass(frozen=True)
class Message:
    """One record to send. `moment_ms` is when the shop sent it; `partition` -1: by its key."""

    topic: str
    key: str
    value: bytes | None
    moment_ms: int
    partition: int = -1
    kind: str = ""


@dataclass
class Shape:
    """What traffic is made of. `end_ms` is the last moment; `one_topic` puts everything on that topic."""

    events: int = 200_000
    clients: int = 20_000
    seed: int = 1
    end_ms: int = 0
    span_days: float = 20.0
    repeats: float = 0.05
    refunds: float = 0.03
    malformed: float = 0.02
    late: float = 0.20
    late_days: float = 3.0
    one_topic: str | None = None
    all_statuses: bool = False  # bounces and refusals too: their effect depends on the order of arrival
    partitions: int = 4


class Traffic:
    def __init__(self, shape: Shape):
        assert shape.events <= EVENTS_PER_CLIENT_MAX * shape.clients, "too few clients for so many events"
        self.shape, self.rng = shape, random.Random(shape.seed)
        self._sent_of: dict[int, list[Message]] = {}
        self._orders_of: dict[int, list[dict]] = {}
        self._owed: dict[int, bytes] = {}
        self._number, self._count = 0, 0
        self._done: Counter = Counter()
        weights = [min(self.rng.gammavariate(0.8, 1.0), 2.5) + 0.05 for _ in range(shape.clients)]
        self._chosen = iter(self._choose(weights))

    def _choose(self, weights: list[float]) -> list[int]:
        """A client for each event, with at most 30 each."""
        counts, chosen = [0] * len(weights), []
        while len(chosen) < self.shape.events:
            for client in self.rng.choices(range(len(weights)), weights, k=self.shape.events - len(chosen)):
                if counts[client] < EVENTS_PER_CLIENT_MAX:
                    counts[client] += 1
                    chosen.append(client)
        return chosen

    def messages(self) -> list[Message]:
        shape = self.shape
        start_ms = shape.end_ms - int(shape.span_days * DAY_MS)
        result = []
        for number, client in enumerate(self._chosen):
            moment_ms = start_ms + int((number + 1) / shape.events * (shape.end_ms - start_ms))
            self._count = number
            message = self._next(client, moment_ms)
            self._sent_of.setdefault(client, []).append(message)
            result.append(message)
        return result

    # -- one event

    def _next(self, client: int, moment_ms: int) -> Message:
        if client in self._owed:
            return self._message("purchase", client, moment_ms, self._owed.pop(client), "owed")
        for share, make in ((self.shape.malformed, self._malformed), (self.shape.repeats, self._repeat),
                            (self.shape.refunds, self._refund)):
            # A client without anything to repeat or refund leaves its share to a later one.
            if self._done[make] < share * self._count and self.rng.random() < 0.25:
                made = make(client, moment_ms)
                if made is not None:
                    self._done[make] += 1
                    return made
        make_of = {"purchase": self._purchase, "visit": self._visit, "message": self._status, "consent": self._consent,
                   "feedback": self._feedback, "profile": self._profile, "points": self._points, "cost": self._cost}
        kind = self.rng.choices(tuple(make_of), (48, 25, 10, 6, 4, 3, 3, 1))[0]
        make = make_of[kind]
        return self._encoded(kind, client, moment_ms, make(client, moment_ms))

    def _encoded(self, kind: str, client: int, moment_ms: int, fields: dict, why: str = "") -> Message:
        return self._message(kind, client, moment_ms, json.dumps(fields, separators=(",", ":")).encode(), why or kind)

    def _message(self, kind: str, client: int, moment_ms: int, value: bytes | None, why: str) -> Message:
        return Message(self.shape.one_topic or TOPIC_OF[kind], name_of(client), value, moment_ms, kind=why)

    def _base(self, kind: str, client: int, moment_ms: int) -> dict:
        self._number += 1
        time_ms = moment_ms
        if self.rng.random() < self.shape.late:
            time_ms -= int(self.rng.random() * self.shape.late_days * DAY_MS)
        time = _text_of(time_ms) if self.rng.random() < 0.3 else time_ms
        return {"type": kind, "id": f"{kind[0]}{self._number}", "client_id": name_of(client), "time": time}

    def _purchase(self, client: int, moment_ms: int, free: float = 0.01) -> dict:
        fields = self._base("purchase", client, moment_ms)
        cents = 0 if self.rng.random() < free else self.rng.randrange(100, 20_000)
        order = {"order_id": f"o{self._number}", "amount": f"{cents // 100}.{cents % 100:02d}", "currency": "EUR"}
        categories = self.rng.choices(CATEGORIES, k=self.rng.randrange(3))
        order["items"] = [{"sku": f"s-{name}", "category": name, "quantity": 1, "price": "1.00"} for name in categories]
        if cents:
            self._orders_of.setdefault(client, []).append({**fields, **order})
        return {**fields, **order}

    def _visit(self, client: int, moment_ms: int) -> dict:
        campaign = {"campaign": self.rng.choice(("spring", "search"))} if self.rng.random() < 0.1 else {}
        return {**self._base("visit", client, moment_ms), "action": "page_view", "page": "/", "channel": "web", **campaign}

    def _feedback(self, client: int, moment_ms: int) -> dict:
        kind = self.rng.choice(("nps", "csat", "review", "complaint", "resolved"))
        score = {"score": self.rng.randrange(11)} if kind in ("nps", "csat", "review") else {}
        case = {"case_id": f"case-{self.rng.randrange(3)}"} if self.rng.random() < 0.5 else {}
        return {**self._base("feedback", client, moment_ms), "kind": kind, **score, **case}

    def _profile(self, client: int, moment_ms: int) -> dict:
        traits = {"tier": self.rng.choice(("gold", "silver", "", None, 7)), "age": self.rng.choice((17, 18.0, "x", None)),
                  "birth_date": "1984-02-29", "vip": self.rng.random() < 0.5, "shoe_size": 43}
        chosen = self.rng.sample(sorted(traits), self.rng.randrange(1, 5))
        zone = self.rng.choice(("Europe/Berlin", "America/New_York", "UTC", "Mars/Olympus"))
        return {**self._base("profile", client, moment_ms), "traits": {name: traits[name] for name in chosen},
                "timezone": zone, "language": self.rng.choice(("de", "en"))}

    def _points(self, client: int, moment_ms: int) -> dict:
        return {**self._base("points", client, moment_ms), "delta": self.rng.randrange(-50, 200), "reason": "order"}

    def _cost(self, client: int, moment_ms: int) -> dict:
        return {**self._base("cost", client, moment_ms), "amount": "1.50", "currency": "EUR", "campaign": "radio"}

    def _status(self, client: int, moment_ms: int) -> dict:
        statuses = ("sent", "delivered", "opened", "clicked") + ("bounced", "unsubscribed") * self.shape.all_statuses
        return {**self._base("message", client, moment_ms), "status": self.rng.choice(statuses),
                "channel": self.rng.choice(CHANNELS)}

    def _consent(self, client: int, moment_ms: int) -> dict:
        return {**self._base("consent", client, moment_ms), "channel": self.rng.choice(CHANNELS),
                "granted": self.rng.random() < 0.85}

    # -- what goes wrong

    def _repeat(self, client: int, moment_ms: int) -> Message | None:
        earlier = self._sent_of.get(client, [])[-6:]
        if self.rng.random() < 0.2:
            orders = self._orders_of.get(client, [])[-4:]
            if not orders:
                return None
            self._number += 1
            again = {**self.rng.choice(orders), "id": f"again{self._number}", "amount": "7.77"}
            return self._encoded("purchase", client, moment_ms, again, "repeat_order")
        earlier = [message for message in earlier if message.kind in TOPIC_OF]
        if not earlier:
            return None
        original = self.rng.choice(earlier)
        return Message(original.topic, original.key, original.value, moment_ms, kind="repeat")

    def _refund(self, client: int, moment_ms: int) -> Message | None:
        fields = self._base("refund", client, moment_ms)
        dice = self.rng.random()
        if dice < 0.15:
            # Before its purchase, which is the client's next event.
            order = self._purchase(client, moment_ms, free=0)
            self._owed[client] = json.dumps(order, separators=(",", ":")).encode()
        elif dice < 0.2:
            order = {"order_id": f"never-{self._number}", "amount": "5.00"}
        else:
            orders = self._orders_of.get(client, [])[-4:]
            if not orders:
                return None
            order = self.rng.choice(orders)
        refund = {**fields, "order_id": order["order_id"]}
        if dice >= 0.15 and dice < 0.2 or self.rng.random() < 0.6:
            cents = int(float(order["amount"]) * 100 * self.rng.choice((0.2, 0.5, 1.0, 1.5)))
            refund["amount"] = f"{cents // 100}.{cents % 100:02d}"
        return self._encoded("refund", client, moment_ms, refund)

    def _malformed(self, client: int, moment_ms: int) -> Message:
        kinds = ["cut", "text", "empty", "no_type", "no_id", "no_time", "unknown", "negative", "cents", "currency", "old",
                 "number_id", "deep", "latin"]
        if not self.shape.one_topic:
            kinds += ["future", "key", "partition"]
        kind = self.rng.choice(kinds)
        fields = self._purchase_unsaved(client, moment_ms)
        value = json.dumps(_SPOIL[kind](fields) if kind in _SPOIL else fields, separators=(",", ":")).encode()
        value = {"cut": value[:-9], "text": b"not json", "empty": b"", "deep": b"[" * 2000 + b"]" * 2000,
                 "latin": value.replace(b"EUR", b"\xe9\xff\xfe")}.get(kind, value)
        message = self._message("purchase", client, moment_ms, value, "bad_" + kind)
        if kind == "key":
            return Message(message.topic, name_of(client) + "-other", value, moment_ms, kind=message.kind)
        if kind == "partition":
            return Message(message.topic, message.key, value, moment_ms, partition=-2, kind=message.kind)
        return message

    def _purchase_unsaved(self, client: int, moment_ms: int) -> dict:
        fields = self._base("purchase", client, moment_ms)
        return {**fields, "order_id": f"bad{self._number}", "amount": "1.00", "currency": "EUR"}


_SPOIL = {
    "no_type": lambda fields: _without(fields, "type"), "no_id": lambda fields: _without(fields, "id"),
    "no_time": lambda fields: _without(fields, "time"), "unknown": lambda fields: {**fields, "type": "dance"},
    "negative": lambda fields: {**fields, "amount": "-1.00"}, "cents": lambda fields: {**fields, "amount": "1.005"},
    "currency": lambda fields: {**fields, "currency": "XXX"},
    "old": lambda fields: {**fields, "time": "1989-12-31T23:59:59.999Z"},
    "number_id": lambda fields: {**fields, "id": 17},
    "future": lambda fields: {**fields, "time": "2099-01-01T00:00:00Z"},
}


def _text_of(time_ms: int) -> str:
    """The same moment in the zone of a shop two hours ahead."""
    moment = datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=2))) + timedelta(hours=2, milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds")


def _without(fields: dict, name: str) -> dict:
    return {key: value for key, value in fields.items() if key != name}


def name_of(client: int) -> str:
    return f"client-{client:06d}"
