"""Policies of the contract for one client: quiet hours by Python's own time zones, caps over all that was ever sent, hold-out
and arms by their published hash."""
from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

import xxhash

from .scores import DAY_MS

MINUTE_MS = 60_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UNITS_MS = {"ms": 1, "s": 1000, "m": MINUTE_MS, "h": 3_600_000, "d": DAY_MS}


def duration_ms(text: str | int | None) -> int:
    if not text:
        return 0
    number = str(text).rstrip("dhms")
    return int(number) * UNITS_MS[str(text)[len(number):]]


def hash64(*parts: str) -> int:
    return xxhash.xxh3_64_intdigest("\x1f".join(parts).encode())


def bucket(salt: str, client_id: str) -> int:
    return hash64(salt, client_id) % 10_000


def buckets_of(share: str) -> int:
    return round(float(share.rstrip("%")) * 100)


def arm(experiment: dict, client_id: str) -> str | None:
    """None: control."""
    own, end = bucket(experiment["salt"], client_id), buckets_of(experiment.get("control", "0%"))
    if own < end:
        return None
    for variant in experiment["variants"]:
        end += buckets_of(variant["share"])
        if own < end:
            return variant["name"]
    raise AssertionError("the shares are not 100 %")


@dataclass(frozen=True)
class Quiet:
    start: int
    end: int
    zone: str

    def holds(self, at_ms: int) -> bool:
        wall = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(self.zone))
        minute = wall.hour * 60 + wall.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def until(self, minute: int) -> int:
        """The first whole minute from this one on that is not quiet; walked minute by minute, each once."""
        ends, walked = known_ends(self), []
        while minute not in ends and self.holds(minute * MINUTE_MS):
            walked.append(minute)
            minute += 1
        end = ends.get(minute, minute)
        ends.update(dict.fromkeys(walked, end))
        return end


@lru_cache(maxsize=64)
def known_ends(_quiet: Quiet) -> dict[int, int]:
    return {}


def minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


@dataclass
class Sent:
    time_ms: int
    rule: str
    channel: str | None
    class_: str


@dataclass
class Policies:
    """As under `policies` in a file of rules."""

    policies: dict = field(default_factory=dict)
    client_id: str = ""
    sends: list[Sent] = field(default_factory=list)

    @property
    def zone(self) -> str:
        return self.policies.get("quiet_hours", {}).get("default_timezone", "UTC")

    def release_ms(self, now_ms: int) -> int:
        hours = self.policies.get("quiet_hours")
        if not hours:
            return now_ms
        quiet = Quiet(minutes(hours["from"]), minutes(hours["to"]), self.zone)
        if not quiet.holds(now_ms):
            return now_ms
        end_ms = quiet.until(now_ms // MINUTE_MS) * MINUTE_MS
        jitter_ms = duration_ms(hours.get("jitter"))
        return end_ms + (hash64(self.client_id, str(end_ms)) % jitter_ms if jitter_ms else 0)

    def in_force(self, schedule: dict | None, now_ms: int) -> bool:
        if not schedule:
            return True
        day = (EPOCH + timedelta(milliseconds=now_ms)).astimezone(ZoneInfo(self.zone)).date()
        return (WEEKDAYS[day.weekday()] in schedule.get("days", WEEKDAYS)
                and day >= date.fromisoformat(schedule.get("from", "0001-01-01"))
                and day <= date.fromisoformat(schedule.get("to", "9999-12-31")))

    def capped(self, send: Sent) -> bool:
        def counts(cap: dict, other: Sent) -> bool:
            return (cap.get("class", other.class_) == other.class_ and cap.get("rule", other.rule) == other.rule
                    and cap.get("channel", other.channel) == other.channel)

        for cap in self.policies.get("frequency_caps", []):
            since = send.time_ms - duration_ms(cap["per"])
            if counts(cap, send) and 1 + sum(counts(cap, s) and s.time_ms > since for s in self.sends) > cap["max"]:
                return True
        return False

    def held_out(self) -> bool:
        holdout = self.policies.get("holdout")
        return holdout is not None and bucket(holdout["salt"], self.client_id) < buckets_of(holdout["share"])

    def opt_in(self, class_: str) -> bool:
        default = "opt_in" if class_ == "marketing" else "opt_out"
        return self.policies.get("consent", {}).get(class_, default) == "opt_in"
