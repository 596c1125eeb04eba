"""Triggers of simple rules for one client: event, enter lifecycle, fall of the activity ratio; delay, cancel_on, once,
cooldown, consent. The clock is given with every event; timers fire strictly before the next event."""
from __future__ import annotations

import re
from dataclasses import dataclass, field

import xxhash

from .decode import Event
from .facts import Facts
from .scores import Settings, first_second_at_or_below

NEVER = 2**62
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str | int | None) -> int:
    if not text:
        return 0
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", str(text)).groups()
    return int(number) * UNITS_MS[unit]


def trigger_id(rule: str, client_id: str, cause: str) -> str:
    return xxhash.xxh3_128_hexdigest(f"{rule}\x1f{client_id}\x1f{cause}".encode())


def event_cause(event: Event) -> str:
    return f"{event.type}\x1f{event.id}"


@dataclass
class Pending:
    due_ms: int
    cause: str
    cause_ms: int
    cart_id: str | None


@dataclass(frozen=True)
class Outcome:
    """A trigger that was sent, or, with `suppressed_by`, one that was held back."""

    id: str
    rule: str
    client_id: str
    time_ms: int
    cause: str
    channel: str | None = None
    suppressed_by: str | None = None


@dataclass
class ClientRules:
    """Facts and rules of one client, run event by event."""

    rules: list[dict]
    settings: Settings
    facts: Facts
    sent: list[Outcome] = field(default_factory=list)
    held_back: list[Outcome] = field(default_factory=list)
    repeats: int = 0
    _pending: dict = field(default_factory=dict)
    _last_sent: dict = field(default_factory=dict)
    _falls: dict = field(default_factory=dict)

    def __post_init__(self):
        self.rules = sorted(self.rules, key=lambda rule: (-rule.get("priority", 0), rule["name"]))

    # -- inputs

    def event(self, event: Event, now_ms: int) -> None:
        self.advance(now_ms, strictly=True)
        if self.facts.is_repeat(event):
            self.repeats += 1
            return
        self._cancel(event, now_ms)
        before = self._look(now_ms)
        self.facts.apply(event)
        after = self._look(now_ms)
        for rule in self.rules:
            if self._caused_by(rule["on"], event, before, after):
                self._cause(rule, event_cause(event), now_ms, event)
        if before != after:
            self._foresee_falls(now_ms)

    def advance(self, until_ms: int, strictly: bool = False) -> None:
        """Fires every timer up to `until_ms` (strictly: before it)."""
        while True:
            due = [(pending.due_ms, i, "pending", key) for key, pending in self._pending.items()
                   for i in [self._rank(key[0])]]
            due += [(moment, self._rank(name), "fall", name) for name, moment in self._falls.items()]
            if not due:
                return
            moment, _, kind, key = min(due, key=lambda entry: entry[:3])
            if moment > until_ms or (strictly and moment >= until_ms) or moment == NEVER:
                return
            self._fire(kind, key, moment)

    # -- inside

    def _rank(self, name: str) -> int:
        return next(i for i, rule in enumerate(self.rules) if rule["name"] == name)

    def _fire(self, kind: str, key, moment: int) -> None:
        if kind == "pending":
            pending = self._pending.pop(key)
            self._send(self.rules[self._rank(key[0])], pending.cause, moment)
        else:
            self._falls[key] = NEVER
            self._cause(self.rules[self._rank(key)], f"due:{moment}", moment, None)

    def _look(self, now_ms: int) -> dict:
        facts, settings = self.facts, self.settings
        if facts.last_ms is None:
            return {"lifecycle": "prospect", "ratio": None}
        ratio = facts.activity_ratio(now_ms, settings)
        lifecycles = facts.lifecycles(now_ms, settings)
        return {"lifecycle": sorted(lifecycles)[0], "ratio": ratio, "facts": (facts.x, facts.t_x, facts.last_ms)}

    @staticmethod
    def _caused_by(on: dict, event: Event, before: dict, after: dict) -> bool:
        if "event" in on:
            return on["event"] == event.type
        if "enter" in on:
            state = on["enter"]["lifecycle"]
            return before["lifecycle"] != state == after["lifecycle"]
        threshold = on["fall"]["activity_ratio"]
        return (before["ratio"] is not None and after["ratio"] is not None
                and before["ratio"] > threshold >= after["ratio"])

    def _foresee_falls(self, now_ms: int) -> None:
        for rule in self.rules:
            if "fall" not in rule["on"] or self.facts.last_ms is None:
                continue
            threshold = rule["on"]["fall"]["activity_ratio"]
            ratio_at = lambda at_ms: self.facts.activity_ratio(at_ms, self.settings)  # noqa: E731
            known = ratio_at(now_ms) > threshold
            self._falls[rule["name"]] = first_second_at_or_below(ratio_at, threshold, now_ms) if known else NEVER

    def _cancel(self, event: Event, now_ms: int) -> None:
        for key, pending in list(self._pending.items()):
            rule = self.rules[self._rank(key[0])]
            same_cart = not (event.cart_id and pending.cart_id) or event.cart_id == pending.cart_id
            if event.type in rule.get("cancel_on", []) and event.time_ms >= pending.cause_ms and same_cart:
                del self._pending[key]
                self._hold_back(rule, pending.cause, now_ms, "cancelled")

    def _cause(self, rule: dict, cause: str, now_ms: int, event: Event | None) -> None:
        name, cart_id = rule["name"], event.cart_id if event else None
        reason = self._too_soon(rule, now_ms)
        if reason is None and (name, cart_id) in self._pending:
            reason = "pending"
        if reason:
            self._hold_back(rule, cause, now_ms, reason)
        elif delay := duration_ms(rule.get("delay")):
            cause_ms = event.time_ms if event else now_ms
            self._pending[name, cart_id] = Pending(now_ms + delay, cause, cause_ms, cart_id)
        else:
            self._send(rule, cause, now_ms)

    def _too_soon(self, rule: dict, now_ms: int) -> str | None:
        last = self._last_sent.get(rule["name"])
        if last is None:
            return None
        if rule.get("once"):
            return "once"
        return "cooldown" if now_ms - last < duration_ms(rule.get("cooldown")) else None

    def _send(self, rule: dict, cause: str, now_ms: int) -> None:
        class_ = rule.get("class", "marketing")
        allowed = [channel for channel in rule["channels"] if self._consents(channel, class_)]
        usable = [channel for channel in allowed if channel not in self.facts.bouncing]
        if not usable:
            self._hold_back(rule, cause, now_ms, "no_channel" if allowed else "consent")
            return
        self._last_sent[rule["name"]] = now_ms
        client_id = self.facts.client_id
        self.sent.append(Outcome(trigger_id(rule["name"], client_id, cause), rule["name"], client_id, now_ms, cause,
                                 usable[0]))

    def _consents(self, channel: str, class_: str) -> bool:
        answer = self.facts.consent.get((channel, class_))
        return answer[1] if answer else class_ == "transactional"

    def _hold_back(self, rule: dict, cause: str, now_ms: int, reason: str) -> None:
        client_id = self.facts.client_id
        self.held_back.append(Outcome(trigger_id(rule["name"], client_id, cause), rule["name"], client_id, now_ms,
                                      cause, None, reason))
