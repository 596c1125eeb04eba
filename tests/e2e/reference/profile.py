"""What a client says and likes: the facts beside money and messages, from the contract's words and not from the program."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from zoneinfo import available_timezones

from .decode import Event, parse_time_ms, time_text
from .scores import Settings

PRIOR_ANSWERS, PRIOR_MESSAGES = 1, 10  # Beta(1, 9)
ZONES = available_timezones()
WITHOUT_CASE = ""


def as_declared(kind: str, value):
    """The value as it is shown; None: it is not of that type."""
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool):
        return None
    if kind == "int":
        return int(value) if not isinstance(value, (str, list, dict)) and value == int(value) else None
    if kind == "double":
        return float(value) if not isinstance(value, (str, list, dict)) else None
    if kind == "timestamp":
        return time_text(parse_time_ms(value)) if isinstance(value, (str, int)) else None
    return value if isinstance(value, str) else None


@dataclass
class Profile:
    """`said` keeps everything: what holds is looked for when it is asked."""

    settings: Settings
    latest: dict = field(default_factory=dict)  # what: (time, id, value)
    cases: dict = field(default_factory=dict)   # case: list of (time, resolved)
    points: int = 0
    first_campaign: tuple | None = None

    def apply(self, event: Event) -> None:
        fields = event.fields
        if event.type == "feedback":
            self._feedback(event, fields)
        elif event.type == "profile":
            self._profile(event, fields)
        elif event.type == "points":
            self.points += fields["delta"]
        counts = event.type in ("visit", "message", "cost") or (event.type == "purchase" and event.amount_minor)
        if counts and fields.get("campaign"):
            said = (event.time_ms, fields["campaign"].encode())
            self.first_campaign = min(self.first_campaign or said, said)

    def _say(self, what, event: Event, value) -> None:
        said = (event.time_ms, event.id.encode(), value)
        if what not in self.latest or said[:2] > self.latest[what][:2]:
            self.latest[what] = said

    def _feedback(self, event: Event, fields: dict) -> None:
        kind = fields["kind"]
        if kind == "nps":
            self._say("nps", event, int(fields["score"]))
        elif kind in ("complaint", "resolved"):
            self.cases.setdefault(fields.get("case_id") or WITHOUT_CASE, []).append((event.time_ms, kind == "resolved"))

    def _profile(self, event: Event, fields: dict) -> None:
        for name, value in (fields.get("traits") or {}).items():
            kind = self.settings.traits.get(name)
            value = value if value is None or kind is None else as_declared(kind, value)
            if kind is not None and (value is not None or fields["traits"][name] is None):
                self._say(("trait", name), event, value)
        if fields.get("timezone") in ZONES:
            self._say("timezone", event, fields["timezone"])
        if fields.get("language"):
            self._say("language", event, fields["language"])

    def _value(self, what):
        return self.latest[what][2] if what in self.latest else None

    def open_complaints(self) -> int:
        """A resolution of a case that nobody has complained of takes a complaint without a case, never another case's."""
        loose = sum(-1 if resolved else 1 for _, resolved in self.cases.get(WITHOUT_CASE, []))
        cases = [said for case, said in self.cases.items() if case != WITHOUT_CASE]
        unmatched = sum(all(resolved for _, resolved in said) for said in cases)
        if loose > 0:
            loose = max(loose - unmatched, 0)
        return max(loose + sum(not max(said)[1] for said in cases), 0)

    def view(self, categories: Counter, messages: dict) -> dict:
        favourites = sorted(categories.items(), key=lambda item: (-item[1], item[0].encode()))
        traits = {what[1]: said[2] for what, said in self.latest.items() if isinstance(what, tuple)}
        return {
            "favourite_category": favourites[0][0] if favourites else None,
            "favourite_categories": [{"category": name, "orders": orders} for name, orders in favourites],
            "preferred_channel": preferred_channel(messages), "nps": self._value("nps"),
            "open_complaints": self.open_complaints(), "points": self.points,
            "traits": {name: value for name, value in traits.items() if value is not None},
            "timezone": self._value("timezone"), "language": self._value("language"),
            "source": self.first_campaign[1].decode() if self.first_campaign else None,
        }


def preferred_channel(messages: dict) -> str | None:
    """The channel with the highest mean of answers per delivered under the prior; then more delivered, then by text."""
    best = None
    for channel in sorted(messages, key=str.encode):
        counts = messages[channel]
        answers = counts.get("clicked", 0) + counts.get("replied", 0)
        delivered = counts.get("delivered", 0)
        trials = max(delivered, answers)
        rank = (Fraction(PRIOR_ANSWERS + answers, PRIOR_MESSAGES + trials), delivered)
        if trials and (best is None or rank > best[0]):
            best = rank, channel
    return best and best[1]
