"""Triggers of rules for one client: event, enter lifecycle, fall of the activity ratio; when, delay, cancel_on, restart, once,
cooldown, schedule, consent and the other policies. The clock is given with every event; timers fire strictly before the next
event."""
from __future__ import annotations

from dataclasses import dataclass, field

import xxhash

from .conditions import Part, Sight, holds
from .decode import Event
from .facts import Facts
from .policies import Policies, Sent, arm, duration_ms
from .scores import Settings, first_second_at_or_below

NEVER = 2**62
PENDING_MAX = 8


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
    deferred_ms: int | None = None
    event: Event | None = None


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
    variant: str | None = None


@dataclass
class ClientRules:
    """Facts and rules of one client, run event by event. `conditions`: what `when` comes to, by the rule's name."""

    rules: list[dict]
    settings: Settings
    facts: Facts
    policies: dict = field(default_factory=dict)
    conditions: dict[str, Part] = field(default_factory=dict)
    sent: list[Outcome] = field(default_factory=list)
    held_back: list[Outcome] = field(default_factory=list)
    repeats: int = 0
    _pending: dict = field(default_factory=dict)
    _last_sent: dict = field(default_factory=dict)
    _virtual: set = field(default_factory=set)  # of rules whose last send was one
    _falls: dict = field(default_factory=dict)

    def __post_init__(self):
        self.own = Policies(self.policies, self.facts.client_id)
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
            due = [(pending.due_ms, self._rank(key[0]), 0, pending.cause_ms, key) for key, pending in
                   self._pending.items()]
            due += [(moment, self._rank(name), 1, 0, name) for name, moment in self._falls.items()]
            if not due:
                return
            moment, _, kind, _, key = min(due, key=lambda entry: entry[:4])
            if moment > until_ms or (strictly and moment >= until_ms) or moment == NEVER:
                return
            self._fire(kind, key, moment)

    # -- inside

    def _rank(self, name: str) -> int:
        return next(i for i, rule in enumerate(self.rules) if rule["name"] == name)

    def _fire(self, kind: int, key, moment: int) -> None:
        if kind == 1:
            self._falls[key] = NEVER
            self._cause(self.rules[self._rank(key)], f"due:{moment}", moment, None)
            return
        pending, rule = self._pending.pop(key), self.rules[self._rank(key[0])]
        if self._asks(rule, pending.event, moment):
            self._offer(rule, pending, moment)
        else:
            self._hold_back(rule, pending.cause, moment, "condition")

    def _asks(self, rule: dict, event: Event | None, now_ms: int) -> bool:
        condition = self.conditions.get(rule["name"])
        return self.own.in_force(rule.get("schedule"), now_ms) and (
            condition is None or holds(condition, self._sight(event, now_ms)))

    def _sight(self, event: Event | None, now_ms: int) -> Sight:
        due = tuple((rule, pending.due_ms) for (rule, _), pending in self._pending.items())
        triggers = tuple((rule, time_ms) for rule, time_ms in self._last_sent.items() if rule not in self._virtual)
        return Sight(self.facts, self.settings, event, now_ms, due, triggers)

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
        in_order = sorted(self._pending.items(), key=lambda item: (self._rank(item[0][0]), item[1].due_ms, item[1].cause_ms))
        for key, pending in in_order:
            rule = self.rules[self._rank(key[0])]
            same_cart = not (event.cart_id and pending.cart_id) or event.cart_id == pending.cart_id
            if event.type in rule.get("cancel_on", []) and event.time_ms >= pending.cause_ms and same_cart:
                del self._pending[key]
                self._hold_back(rule, pending.cause, now_ms, "cancelled")

    def _cause(self, rule: dict, cause: str, now_ms: int, event: Event | None) -> None:
        name, cart_id = rule["name"], event.cart_id if event else None
        if event and self._too_old(event, now_ms) or not self._asks(rule, event, now_ms):
            return
        reason = self._too_soon(rule, now_ms)
        if reason is None and (name, cart_id) in self._pending and not rule.get("restart"):
            reason = "pending"
        pending = Pending(now_ms, cause, event.time_ms if event else now_ms, cart_id, event=event)
        if reason:
            self._hold_back(rule, cause, now_ms, reason)
        elif delay := duration_ms(rule.get("delay")):
            pending.due_ms += delay
            self._put_off(rule, pending, now_ms)
        else:
            self._pending.pop((name, cart_id), None)
            self._offer(rule, pending, now_ms)

    def _too_old(self, event: Event, now_ms: int) -> bool:
        age = self.policies.get("max_trigger_age")
        return age is not None and now_ms - event.time_ms > duration_ms(age)

    def _put_off(self, rule: dict, pending: Pending, now_ms: int, channel: str | None = None) -> None:
        key = (rule["name"], pending.cart_id)
        if key not in self._pending and len(self._pending) == PENDING_MAX:
            self._hold_back(rule, pending.cause, now_ms, "slots_full", channel)
        else:
            self._pending[key] = pending

    def _too_soon(self, rule: dict, now_ms: int) -> str | None:
        last = self._last_sent.get(rule["name"])
        if last is None:
            return None
        if rule.get("once"):
            return "once"
        return "cooldown" if now_ms - last < duration_ms(rule.get("cooldown")) else None

    def _offer(self, rule: dict, pending: Pending, now_ms: int) -> None:
        """From the choice of the channel on."""
        class_, cause = rule.get("class", "marketing"), pending.cause
        channels = rule.get("channels")
        allowed = [channel for channel in channels or [] if self._consents(channel, class_)]
        usable = [channel for channel in allowed if channel not in self.facts.bouncing]
        if channels and not usable:
            self._hold_back(rule, cause, now_ms, "no_channel" if allowed else "consent")
            return
        channel = usable[0] if channels else None
        if class_ == "marketing" and not self._is_decent_hour(rule, pending, now_ms, channel):
            return
        reason, variant = self._policy(rule, Sent(now_ms, rule["name"], channel, class_))
        if reason in (None, "holdout", "control"):
            self._last_sent[rule["name"]] = now_ms
            (self._virtual.add if reason else self._virtual.discard)(rule["name"])
        if reason in (None, "holdout"):
            self.own.sends.append(Sent(now_ms, rule["name"], channel, class_))
        if reason:
            self._hold_back(rule, cause, now_ms, reason, channel)
            return
        client_id = self.facts.client_id
        self.sent.append(Outcome(trigger_id(rule["name"], client_id, cause), rule["name"], client_id, now_ms, cause,
                                 channel, None, variant))

    def _is_decent_hour(self, rule: dict, pending: Pending, now_ms: int, channel: str | None) -> bool:
        since_ms = now_ms if pending.deferred_ms is None else pending.deferred_ms
        if rule.get("expires") and now_ms - since_ms > duration_ms(rule["expires"]):
            self._hold_back(rule, pending.cause, now_ms, "expired", channel)
            return False
        release_ms = self.own.release_ms(now_ms)
        if release_ms > now_ms:
            put_off = Pending(release_ms, pending.cause, pending.cause_ms, pending.cart_id, since_ms, pending.event)
            self._put_off(rule, put_off, now_ms, channel)
        return release_ms == now_ms

    def _policy(self, rule: dict, send: Sent) -> tuple[str | None, str | None]:
        if send.class_ != "marketing":
            return None, None
        if self.own.capped(send):
            return "cap", None
        if self.own.held_out():
            return "holdout", None
        if "experiment" not in rule:
            return None, None
        variant = arm(rule["experiment"], self.facts.client_id)
        return ("control" if variant is None else None), variant

    def _consents(self, channel: str, class_: str) -> bool:
        answer = self.facts.consent.get((channel, class_))
        return answer[1] if answer else not self.own.opt_in(class_)

    def _hold_back(self, rule: dict, cause: str, now_ms: int, reason: str,
                   channel: str | None = None) -> None:
        client_id = self.facts.client_id
        self.held_back.append(Outcome(trigger_id(rule["name"], client_id, cause), rule["name"], client_id, now_ms,
                                      cause, channel, reason))
