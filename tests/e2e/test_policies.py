"""Random rule sets, conditions and policies through `rfmd replay` against the reference: the same triggers, the same audit, the same ids.

RFM_POLICY_SETS: how many sets. RFM_POLICY_ZONES=all: every time zone of the database, not a few."""
import json
import os
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
import yaml

from harness.rfmd import base_config, replay, write_config
from reference.conditions import Part, random_condition
from reference.decode import decode, parse_time_ms, time_text
from reference.facts import Facts
from reference.rules import ClientRules
from reference.scores import DAY_MS, Settings

pytestmark = pytest.mark.rfmd
HOUR_MS = 3_600_000
T0 = parse_time_ms("2026-03-20T00:00:00Z")
CHANNELS = ["email", "push", "sms"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Auckland"]
OTHERS = ["visit", "message", "refund", "points", "feedback", "profile"]
SETS = int(os.environ.get("RFM_POLICY_SETS", "12"))


def random_rule(rng: random.Random, name: str) -> dict:
    on = rng.choice([{"event": rng.choice(["purchase", "visit", "visit", "consent"])}, {"event": rng.choice(OTHERS)},
                     {"enter": {"lifecycle": "new"}}, {"fall": {"activity_ratio": round(rng.uniform(0.6, 0.99), 2)}}])
    rule = {"name": name, "on": on, "class": rng.choice(["marketing", "marketing", "transactional"]), "topic": "triggers",
            "priority": rng.randrange(-1, 3)}
    if rng.random() < 0.8:
        rule["channels"] = rng.sample(CHANNELS, rng.randrange(1, 4))
    if rng.random() < 0.4:
        rule["delay"] = f"{rng.randrange(1, 72 * 60)}m"
    if rng.random() < 0.3:
        rule["cancel_on"] = rng.sample(["purchase", "visit", "refund"], rng.randrange(1, 3))
    if rng.random() < 0.3:
        rule["cooldown"] = f"{rng.randrange(1, 200)}h"
    if rng.random() < 0.2:
        rule["expires"] = f"{rng.randrange(1, 30)}h"
    if rng.random() < 0.25:
        rule["schedule"] = {"days": rng.sample(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], rng.randrange(3, 8))}
    if rng.random() < 0.1:
        rule.setdefault("schedule", {})["to"] = "2026-04-10"
    rule["once"], rule["restart"] = rng.random() < 0.15, rng.random() < 0.4
    if rule["class"] == "marketing" and rng.random() < 0.4:
        control = rng.randrange(0, 90)
        rule["experiment"] = {"salt": f"s{rng.randrange(1000)}", "control": f"{control}%",
                              "variants": [{"name": "a", "share": "10%"}, {"name": "b", "share": f"{90 - control}%"}]}
    return rule


def random_conditions(rng: random.Random, rules: list[dict]) -> dict[str, Part]:
    """Puts `when` into some of the rules; what each means."""
    conditions = {rule["name"]: random_condition(rng, rule["on"].get("event"), "delay" in rule) for rule in rules if rng.random() < 0.6}
    for rule in rules:
        if rule["name"] in conditions:
            rule["when"] = conditions[rule["name"]].text
    return conditions


def random_policies(rng: random.Random, rules: list[dict]) -> dict:
    policies = {}
    if rng.random() < 0.8:
        start, end = rng.sample(range(1440), 2)
        policies["quiet_hours"] = {"from": f"{start // 60:02}:{start % 60:02}", "to": f"{end // 60:02}:{end % 60:02}",
                                   "jitter": f"{rng.randrange(120)}m",
                                   "default_timezone": rng.choice(ZONES)}
    if rng.random() < 0.7:
        policies["frequency_caps"] = [random_cap(rng, rules) for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.4:
        policies["holdout"] = {"salt": f"h{rng.randrange(1000)}", "share": f"{rng.randrange(1, 50)}%"}
    if rng.random() < 0.3:
        policies["consent"] = {"marketing": "opt_out"}
    if rng.random() < 0.3:
        policies["max_trigger_age"] = "10h"
    return policies


def random_cap(rng: random.Random, rules: list[dict]) -> dict:
    cap = {"max": rng.randrange(0, 4), "per": f"{rng.randrange(1, 400)}h"}
    if rng.random() < 0.4:
        cap["class"] = rng.choice(["marketing", "transactional"])
    if rng.random() < 0.3:
        cap["channel"] = rng.choice(CHANNELS)
    if rng.random() < 0.3:
        cap["rule"] = rng.choice(rules)["name"]
    return cap


def random_events(rng: random.Random, count: int, clients: int) -> list[dict]:
    events, clock = [], T0
    for number in range(count):
        clock += rng.randrange(1, 2 * DAY_MS // clients)
        client = f"client {rng.randrange(clients)}"
        late = rng.randrange(24 * HOUR_MS) if rng.random() < 0.2 else 0
        event = {"type": rng.choice(["purchase", "visit", "visit", "visit", "consent", "message", "refund", *OTHERS[3:]]), "id": f"e{number}",
                 "client_id": client, "time": clock}
        if event["type"] in ("visit", "purchase") and rng.random() < 0.5:
            event["cart_id"] = rng.choice("abc")
        if event["type"] == "purchase":
            event.update(order_id=f"o{number}", amount="10.00", currency="EUR", items=[
                {"sku": "s", "category": rng.choice("ab"), "quantity": rng.randrange(1, 4), "price": rng.randrange(40) / 4}
                for _ in range(rng.randrange(3))])
        elif event["type"] == "refund":
            event.update(order_id=f"o{rng.randrange(number + 1)}", amount="1.00")
        elif event["type"] == "consent":
            event.update(channel=rng.choice(CHANNELS), granted=rng.random() < 0.8)
        elif event["type"] == "message":
            event.update(channel=rng.choice(CHANNELS), status=rng.choice(["delivered", "bounced", "unsubscribed", "clicked"]))
        elif event["type"] == "points":
            event["delta"] = rng.randrange(-5, 20)
        elif event["type"] == "feedback":
            event["kind"] = rng.choice(["nps", "complaint", "resolved"])
            event.update({"score": rng.randrange(11)} if event["kind"] == "nps" else {"case_id": rng.choice("xy")})
        elif event["type"] == "profile":
            traits = {"vip": rng.random() < 0.5, "age": rng.randrange(18, 90), "tier": rng.choice(["gold", "b"])}
            event.update(traits={name: traits[name] for name in rng.sample(sorted(traits), 2)}, language=rng.choice(["de", "en"]))
        if rng.random() < 0.3:
            event.update({"visit": {"action": "page_view", "page": "/a"}, "purchase": {"coupon": "gold"}, "points": {"reason": "a"},
                          "message": {"campaign": "b"}}.get(event["type"], {}))
        if event["type"] in ("visit", "purchase"):
            event["time"] -= late
        events.append(event)
    return events


def expected(rules: list[dict], policies: dict, conditions: dict, events: list[dict], until_ms: int) -> list[tuple]:
    clients, clock = {}, 0
    for fields in events:
        event = decode(json.dumps(fields).encode(), Settings())
        clock = max(clock, event.time_ms)
        if event.client_id not in clients:
            clients[event.client_id] = ClientRules(rules, Settings(), Facts(event.client_id), policies, conditions)
        clients[event.client_id].event(event, clock)
    for client in clients.values():
        client.advance(until_ms)
    return sorted((o.client_id, o.time_ms, o.rule, o.id, o.channel or "", o.variant or "", o.suppressed_by or "")
                  for c in clients.values() for o in c.sent + c.held_back)


def got(out: dict) -> list[tuple]:
    records = [json.loads(line) for name in ("triggers", "audit") for line in out[name]]
    return sorted((r["client_id"], parse_time_ms(r["time"]), r["rule"], r["id"], r["channel"] or "", r["variant"] or "",
                   r.get("suppressed_by", "")) for r in records)


def run(tmp_path, rules: list[dict], policies: dict, events: list[dict], until_ms: int) -> list[tuple]:
    config = write_config(tmp_path / "rfmd.yaml", base_config(tmp_path, rules))
    file = tmp_path / "rules.yaml"
    whole = yaml.safe_load(file.read_text())
    whole["policies"] = policies
    file.write_text(yaml.safe_dump(whole))
    events_file = tmp_path / "events.ndjson"
    events_file.write_text("".join(json.dumps(event) + "\n" for event in events))
    return got(replay(config, [events_file], tmp_path, until_ms))


@pytest.mark.parametrize("seed", range(SETS))
def test_random_rules_and_policies(tmp_path, seed):
    rng = random.Random(seed)
    rules = [random_rule(rng, f"r{number}") for number in range(rng.randrange(2, 9))]
    rules.append({"name": "always", "on": {"event": "visit"}, "class": "transactional", "topic": "triggers"})
    conditions = random_conditions(rng, rules[:-1])
    policies, events = random_policies(rng, rules), random_events(rng, 1000, rng.randrange(5, 30))
    until = max(event["time"] for event in events) + 10 * DAY_MS
    ours, theirs = expected(rules, policies, conditions, events, until), run(tmp_path, rules, policies, events, until)
    show = f"{yaml.safe_dump(rules)}\n{policies}"
    missing, surplus = [o for o in ours if o not in set(theirs)], [t for t in theirs if t not in set(ours)]
    assert ours == theirs, f"{len(ours)} expected\nmissing {missing[:5]}\nsurplus {surplus[:5]}\n{show}"
    assert ours


def zones() -> list[str]:
    return sorted(available_timezones()) if os.environ.get("RFM_POLICY_ZONES") == "all" else [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll", "Asia/Beirut"]


@pytest.mark.parametrize("zone", zones())
def test_never_within_quiet_hours_never_lost_sent_once(tmp_path, zone):
    """Each hour of the two weeks of 2026 in which most clocks change, for one client each."""
    rules = [{"name": "m", "on": {"event": "visit"}, "class": "marketing", "topic": "triggers"}]
    policies = {"quiet_hours": {"from": "21:30", "to": "02:30", "default_timezone": zone, "jitter": "45m"}}
    hours = [start + hour * HOUR_MS for week in ("2026-03-23", "2026-03-02", "2026-10-19", "2026-10-26")
             for start in [parse_time_ms(week + "T00:00:00Z")] for hour in range(7 * 24)]
    events = [{"type": "visit", "id": "v", "client_id": time_text(hour), "time": hour} for hour in sorted(hours)]
    sent = run(tmp_path, rules, policies, events, max(hours) + 3 * DAY_MS)
    assert sorted(record[0] for record in sent) == sorted(event["client_id"] for event in events)
    for client_id, time_ms, *_rest, suppressed_by in sent:
        wall = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(zone))
        assert suppressed_by == "" and not (wall.hour * 60 + wall.minute >= 21 * 60 + 30 or wall.hour * 60 + wall.minute < 150)
        assert 0 <= time_ms - parse_time_ms(client_id) < 7 * HOUR_MS
