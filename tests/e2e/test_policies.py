"""Random rule sets, conditions and policies through `rfmd replay` against the reference: the same triggers, the same audit, the same ids.

RFM_POLICY_SETS: how many sets."""
import json
import os
import random
import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
import xxhash
import yaml

from harness.rfmd import base_config, replay, run_command, write_config
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


def prepare(tmp_path, rules: list[dict], policies: dict, events: list[dict]) -> tuple:
    """The files of the configuration and of the events."""
    config = write_config(tmp_path / "rfmd.yaml", base_config(tmp_path, rules))
    file = tmp_path / "rules.yaml"
    whole = yaml.safe_load(file.read_text())
    whole["policies"] = policies
    file.write_text(yaml.safe_dump(whole))
    events_file = tmp_path / "events.ndjson"
    events_file.write_text("".join(json.dumps(event) + "\n" for event in events))
    return config, events_file


def run(tmp_path, rules: list[dict], policies: dict, events: list[dict], until_ms: int) -> list[tuple]:
    config, events_file = prepare(tmp_path, rules, policies, events)
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


def test_a_back_fill_mails_nobody(tmp_path):
    """What is older than `max_trigger_age` when it is read, counted from its own time, changes states and causes nothing."""
    rules = [{"name": "thanks", "on": {"event": "purchase"}, "class": "transactional", "topic": "triggers"},
             {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, "class": "transactional", "topic": "triggers"},
             {"name": "later", "on": {"event": "purchase"}, "delay": "1h", "class": "transactional", "topic": "triggers"}]
    ages = [0, 72 * HOUR_MS, 72 * HOUR_MS + 1, 1000 * DAY_MS]
    events = [{"type": "visit", "id": "now", "client_id": "clock", "time": T0}]
    events += [{"type": "purchase", "id": f"p{age}-{number}", "client_id": f"aged {age} {number}", "time": T0 - age,
                "order_id": f"o{age}-{number}", "amount": "10.00", "currency": "EUR"} for age in ages for number in range(10)]
    sent = run(tmp_path, rules, {"max_trigger_age": "72h"}, events, T0 + DAY_MS)
    young = {f"aged {age} {number}" for age in ages[:2] for number in range(10)}
    assert {(client, rule) for client, _, rule, *_ in sent} == {(client, rule) for client in young
                                                                for rule in ("thanks", "welcome", "later")}
    assert len(sent) == 3 * len(young)
    states = map(json.loads, (tmp_path / "replay-clients.ndjson").read_text().splitlines())
    assert {state["client_id"]: state["orders"] for state in states} == {
        "clock": 0, **{event["client_id"]: 1 for event in events[1:]}}


# -- time zones

QUARTER_MS = HOUR_MS // 4
SENT = re.compile(r'"client_id":"([^"]*)","time":"([^"]*)"')
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def weeks_of_change(zone: ZoneInfo, year: int = 2026) -> set[int]:
    """Every hour of the weeks around the changes of the zone's clock; of a zone without any those of Europe's."""
    start_ms, found = parse_time_ms(f"{year}-01-01T00:00:00Z"), []
    offset = lambda ms: (EPOCH + timedelta(milliseconds=ms)).astimezone(zone).utcoffset()  # noqa: E731
    for day in range(365):
        day_ms = start_ms + day * DAY_MS
        if offset(day_ms) != offset(day_ms + DAY_MS):
            found += [day_ms + hour * HOUR_MS for hour in range(24)
                      if offset(day_ms + hour * HOUR_MS) != offset(day_ms + (hour + 1) * HOUR_MS)]
    changes = found or [parse_time_ms(f"{year}-03-29T01:00:00Z"), parse_time_ms(f"{year}-10-25T01:00:00Z")]
    hours = {change_ms + hour * HOUR_MS for change_ms in changes for hour in range(-84, 84)}
    assert len(hours) >= 2 * 168, zone  # Morocco's are both in spring
    return hours


class Night:
    """Quiet hours by Python's time zones: the wall is read at each quarter of an hour, which is when zones and windows begin."""

    def __init__(self, start: str, end: str, zone: str, jitter_ms: int):
        self.zone, self.jitter_ms, self._known = ZoneInfo(zone), jitter_ms, {}
        self.start, self.end = (int(text[:2]) * 60 + int(text[3:]) for text in (start, end))

    def holds(self, at_ms: int) -> bool:
        known = self._known.get(at_ms)
        if known is None:
            wall = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(self.zone)
            minute = wall.hour * 60 + wall.minute
            over_midnight = self.start > self.end
            known = minute >= self.start or minute < self.end if over_midnight else self.start <= minute < self.end
            self._known[at_ms] = known
        return known

    def release_ms(self, client_id: str, at_ms: int) -> int:
        while self.holds(at_ms):
            end_ms = at_ms // QUARTER_MS * QUARTER_MS + QUARTER_MS
            while self.holds(end_ms):
                end_ms += QUARTER_MS
            at_ms = end_ms + xxhash.xxh3_64_intdigest(f"{client_id}\x1f{end_ms}".encode()) % self.jitter_ms
        return at_ms


def sent_of(tmp_path, rules: list[dict], policies: dict, visits: list[tuple]) -> list[tuple[str, int]]:
    """Client and moment of every trigger of a client for each (hour, zone); nothing may be held back."""
    events = []
    for hour, zone in visits:
        client = f"{zone} {hour}"
        events.append({"type": "profile", "id": "p", "client_id": client, "time": hour, "timezone": zone})
        events.append({"type": "visit", "id": "v", "client_id": client, "time": hour})
    config, events_file = prepare(tmp_path, rules, policies, events)
    done = run_command("replay", "-c", config, "--events", events_file, "--until", time_text(visits[-1][0] + 3 * DAY_MS),
                       "--triggers", tmp_path / "sent", "--audit", tmp_path / "held", timeout_s=600)
    assert done.returncode == 0 and (tmp_path / "held").read_bytes() == b"", done.stderr
    found = [SENT.search(line).groups() for line in (tmp_path / "sent").read_text().splitlines()]
    return [(client, (datetime.fromisoformat(time) - EPOCH) // timedelta(milliseconds=1)) for client, time in found]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", ["spring", "autumn"])
@pytest.mark.parametrize("window", [("21:30", "02:30"), pytest.param(("01:45", "05:15"), marks=pytest.mark.slow)], ids=str)
def test_every_zone_in_its_weeks_of_change(tmp_path, window, half):
    """A client for each zone of the database and each hour of its weeks of change: at the computed moment, never within quiet
    hours, never lost, released once."""
    rules = [{"name": "m", "on": {"event": "visit"}, "class": "marketing", "topic": "triggers"}]
    policies = {"quiet_hours": {"from": window[0], "to": window[1], "default_timezone": "UTC", "jitter": "45m"},
                "consent": {"marketing": "opt_out"}}
    zones, middle_ms = sorted(available_timezones()), parse_time_ms("2026-07-01T00:00:00Z")
    visits = sorted((hour, zone) for zone in zones for hour in weeks_of_change(ZoneInfo(zone))
                    if (hour < middle_ms) == (half == "spring"))
    sent = sent_of(tmp_path, rules, policies, visits)
    nights = {zone: Night(*window, zone, 45 * 60_000) for zone in zones}
    expected = {f"{zone} {hour}": nights[zone].release_ms(f"{zone} {hour}", hour) for hour, zone in visits}
    assert len(expected) == len(visits) > 0.9 * len(zones) * 168
    waited = 0
    for client_id, time_ms in sent:
        zone, hour = client_id.split()
        assert not nights[zone].holds(time_ms), client_id
        assert time_ms == expected.pop(client_id, None), client_id  # a second one is not expected any more
        waited += time_ms > int(hour)
    assert not expected and waited > len(visits) / 10
