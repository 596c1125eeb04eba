"""Exactly once with every shipped play at work: fire.py with the clock of the records and a shop's whole traffic."""
from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import yaml

from reference.decode import Refused, decode, parse_time_ms
from reference.scores import Settings

from . import fire
from .chaos import Chaos, Plan, planned
from .rfmd import ROOT
from .traffic import Message, Shape, Traffic

SHIPPED = ROOT / "conf" / "rules"
CHANNELS = ("email", "push", "sms", "phone")
ARTICLES = {"books": 40, "music": 20, "garden": 60, "toys": 30, "food": 90, "shoes": 50}


class ShopTraffic(Traffic):
    """Visits with articles and carts, orders from carts, consent at first, days of birth all over the year, many points."""

    def __init__(self, shape: Shape):
        super().__init__(shape)
        self._carts: dict[int, str] = {}

    def _next(self, client: int, moment_ms: int) -> Message:
        if client not in self._sent_of:
            first = {**self._base("consent", client, moment_ms), "channel": "email", "granted": self.rng.random() < 0.85}
            return self._encoded("consent", client, moment_ms, first)
        return super()._next(client, moment_ms)

    def _visit(self, client: int, moment_ms: int) -> dict:
        fields = {**super()._visit(client, moment_ms),
                  "action": self.rng.choice(("page_view", "login", "view_item", "view_item", "add_to_cart", "begin_checkout"))}
        if fields["action"] in ("add_to_cart", "begin_checkout"):
            fields["cart_id"] = self._carts.setdefault(client, f"cart-{self._number}")
        if fields["action"] in ("view_item", "add_to_cart"):
            category = self.rng.choice(sorted(ARTICLES))
            fields |= {"category": category, "sku": f"{category}-{self.rng.randrange(ARTICLES[category])}"}
        return fields

    def _purchase(self, client: int, moment_ms: int, free: float = 0.01) -> dict:
        fields = super()._purchase(client, moment_ms, free)
        if client in self._carts and self.rng.random() < 0.7:
            fields["cart_id"] = self._carts.pop(client)
        return fields

    def _profile(self, client: int, moment_ms: int) -> dict:
        fields = super()._profile(client, moment_ms)
        month, day = self.rng.randrange(1, 13), self.rng.randrange(1, 29)
        born = "1984-02-29" if self.rng.random() < 0.05 else f"19{self.rng.randrange(50, 99)}-{month:02}-{day:02}"
        fields["traits"]["birth_date"] = born
        return fields

    def _points(self, client: int, moment_ms: int) -> dict:
        return {**super()._points(client, moment_ms), "delta": self.rng.randrange(-100, 900)}

    def _consent(self, client: int, moment_ms: int) -> dict:
        return {**super()._consent(client, moment_ms), "channel": self.rng.choice(CHANNELS)}


def policies() -> str:
    """The shipped policies, with all that they have in store switched on."""
    text = (SHIPPED / "policies.yaml").read_text()
    return re.sub(r"^  # (?=quiet_hours:|frequency_caps:|  - \{|holdout:)", "  ", text, flags=re.MULTILINE)


def plays_rules() -> dict[str, dict]:
    files = [yaml.safe_load(path.read_text()) for path in sorted(SHIPPED.glob("*.yaml"))]
    return {rule["name"]: rule for document in files for rule in document.get("rules", [])}


def plays_config(folder: Path) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policies.yaml").write_text(policies())
    plays = [str(path) for path in sorted(SHIPPED.glob("*.yaml")) if path.name != "policies.yaml"]
    return {"rules": [*plays, str(folder / "policies.yaml")]}


def plays_form(folder: Path, events: int, clients: int, plan: Plan, site: fire.Site = fire.Site(),
               say=lambda text: None) -> fire.Verdict:
    """States, triggers and audit: without faults, under fire and by replay, byte for byte; and that every play has fired."""
    assert not plan.full_disks, "a broker without room may have an event put in twice, or in another order"
    verdict, config = fire.Verdict(), plays_config(folder)
    messages, timestamps, end_ms = fire.record_traffic(events, clients, plan.seed, site.partitions, ShopTraffic)
    run = {"rules": [], "more": config, "say": say}
    say("a run without faults")
    calm, _ = fire.record_run(folder / "calm", messages, timestamps, end_ms, None, site.calm(), verdict, **run)
    say("the same under fire")
    burnt, chaos = fire.record_run(folder / "fire", messages, timestamps, end_ms, plan, site, verdict, **run)
    say("the same by replay")
    fire.compare_outcomes(verdict, "without faults", calm, burnt)
    fire.compare_with_replay(verdict, folder, messages, end_ms, burnt)
    fire.compare_facts(verdict, fire.reference_of_records(messages, timestamps, end_ms, site.partitions, []), calm)
    sent = Counter(json.loads(value)["rule"] for value in burnt.values)
    verdict.other += [f"{name} has never been sent" for name in plays_rules() if not sent[name]]
    struck, delayed = struck_delays(burnt, messages, timestamps, chaos)
    if planned(plan) and not struck:
        verdict.other.append("no restart has fallen into a delay")
    verdict.counts = {"events": len(messages), "triggers": len(burnt.triggers), "clients": len(burnt.clients),
                      "dead letters": len(burnt.dead_letters), "audit": len(burnt.audit), "faults": len(planned(plan)),
                      "delayed ones": delayed, "with a restart within their delay": struck, **dict(sorted(sent.items()))}
    return verdict


def struck_delays(burnt: fire.Outcome, messages: list[Message], timestamps: list[int], chaos: Chaos) -> tuple[int, int]:
    """Of the triggers and audit records that came after a rule's delay those within whose delay a process was killed, by how
    far the traffic had been sent by then; and all."""
    caused, struck, delayed = {}, 0, 0
    for message, timestamp in zip(messages, timestamps):
        try:
            event = decode(message.value, Settings())
            caused.setdefault((event.client_id, event.type, event.id), timestamp)
        except Refused:
            pass
    kills = sorted(timestamps[min(int(share * len(timestamps)), len(timestamps) - 1)] for share in chaos.killed_at)
    delays = {name for name, rule in plays_rules().items() if "delay" in rule}
    for value in [*burnt.values, *(value for _, value in burnt.audit)]:
        record = json.loads(value)
        begin = caused.get((record["client_id"], record["cause"]["type"], record["cause"]["id"]))
        if record["rule"] in delays and begin is not None:
            delayed += 1
            struck += bisect_right(kills, begin) < bisect_right(kills, parse_time_ms(record["time"]))
    return struck, delayed
