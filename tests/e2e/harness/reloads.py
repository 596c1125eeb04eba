"""Reloads under load: rules come, go and change while events stream in and triggers wait; some files have mistakes.

Every rule's template says which good reload it is from, its era. So each trigger tells under which rules it was decided, and
what must have been sent follows from the eras at its cause and at its moment."""
from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from confluent_kafka import Producer

from reference.rules import trigger_id

from . import topics
from .cluster import Cluster
from .rfmd import MODEL, Rfmd, merged
from .waiting import wait_for

DELAY_S = 3
ONCE = {"class": "transactional", "topic": "triggers"}
RULES = {
    "each": {"on": {"event": "purchase"}, **ONCE},
    "seen": {"on": {"event": "visit"}, **ONCE},
    "later": {"on": {"event": "visit"}, "delay": f"{DELAY_S}s", **ONCE},
    "gone": {"on": {"event": "visit"}, "delay": f"{DELAY_S}s", **ONCE},
}
EXTRA = {"extra": {"on": {"event": "purchase"}, **ONCE}}
VIP = {"vip": {"on": {"enter": {"segment": "buyers"}}, "delay": "3650d", **ONCE}}
# What each good reload changes; None takes a rule away. `config`, `model` and `segments` are of other files.
GOOD = [
    {"rules": {"each": {"priority": 5}}},
    {"rules": EXTRA},
    {"rules": {"gone": None}},
    {"rules": {"gone": RULES["gone"], "later": {"when": "client.visits >= 1", "channels": ["email", "push"]}}},
    {"config": {"segments": "rf-10"}},
    {"model": {"r": 0.9, "alpha": 9.5}},
    {"config": {"log": {"level": "debug"}}},
    {"rules": {"gone": None}},
    {"rules": {"gone": RULES["gone"], **VIP}, "segments": {"buyers": "client.orders > 1"}},
    {"rules": {"extra": {"delay": "2s"}, "later": {"priority": -3, "data": {"visits": "client.visits"}}}},
    {"rules": {"extra": None, "vip": None}, "segments": None},
    {"config": {"segments": "classic-11", "log": {"level": "info"}}, "model": {"r": 0.52484, "alpha": 6.1831}},
]
# Which file gets which text behind it, where the mistake is in it (a text, or None: where it ends) and what is said.
BAD = [
    ("rules", "- {name: open, template: 'o\n", None, "not YAML: found unexpected end of stream"),
    ("rules", "- {name: odd, on: {event: visit}, tempalte: x}\n", "tempalte", 'unknown key "tempalte"; the nearest known one'),
    ("rules", "- {name: odd, on: {event: visit}, when: client.orders > 'two'}\n", "> 'two'", "when: > does not go with int and string"),
    ("rules", "- {name: odd, on: {event: visit}, when: client.ordres > 2}\n", "ordres", "when: client has no ordres; the nearest is orders"),
    ("rules", "- {name: odd, on: {event: visit}, delay: 3 parsecs}\n", "3 parsecs", "delay: a duration is needed here"),
    ("rules", "- {name: odd}\n", "{name: odd}", "on is missing"),
    ("model", "alhpa: 3\n", "alhpa", 'unknown key "alhpa"; the nearest known one is "alpha"'),
    ("config", "traits_: {}\n", "traits_", 'unknown key "traits_"; the nearest known one is "traits"'),
]


def plan(reloads: int) -> list[tuple[str, int]]:
    """Good and bad ones in turn; the last is good."""
    bad = min(reloads * 2 // 5, len(BAD) * (reloads // len(BAD) + 1))
    good = reloads - bad
    kinds = [("bad", number % len(BAD)) for number in range(bad)]
    steps = [("good", number % len(GOOD)) for number in range(good)]
    for number, step in enumerate(kinds):
        steps.insert(2 * number + 1, step)
    return steps


# -- what is sent


@dataclass
class Load:
    """`rate` events a second until it is told to end: seven of ten points, two purchases, one the visit of a new client."""

    brokers: str
    rate: int
    clients: int
    seed: int = 1
    sent: int = 0
    repeats: int = 0
    seconds: float = 0.0
    late_s: float = 0.0  # how far it was behind its rate at worst
    error: Exception | None = None
    visits: list = field(default_factory=list)  # (client, id)
    purchases: list = field(default_factory=list)
    orders: Counter = field(default_factory=Counter)
    cents: Counter = field(default_factory=Counter)
    points: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._rng = random.Random(self.seed)

    def start(self) -> "Load":
        self._thread.start()
        return self

    def finish(self) -> None:
        self._end.set()
        self._thread.join(180)
        assert not self._thread.is_alive(), "the traffic has not been sent in time"
        if self.error:
            raise self.error

    def _run(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # noqa: BLE001 - handed to the joining thread
            self.error = error

    def _send_all(self) -> None:
        producer = Producer({"bootstrap.servers": self.brokers, "partitioner": "murmur2_random", "enable.idempotence": True,
                             "linger.ms": 5, "queue.buffering.max.messages": 1_000_000, "log_level": 0,
                             "on_delivery": self._delivered})
        begin = time.monotonic()
        while not self._end.is_set():
            due = int((time.monotonic() - begin) * self.rate) - self.sent
            self.late_s = max(self.late_s, due / self.rate)
            for _ in range(min(due, self.rate // 20)):
                self._send(producer)
            producer.poll(0)
            if due < self.rate // 20:
                time.sleep(0.01)
        self.seconds = time.monotonic() - begin
        assert producer.flush(120) == 0, "records were not delivered"

    @staticmethod
    def _delivered(error, _message) -> None:
        if error is not None:
            raise AssertionError(f"a record was not delivered: {error}")

    def _send(self, producer: Producer) -> None:
        topic, key, value = self._next(self.sent)
        self.sent += 1
        producer.produce(topic, value, key)
        if self.sent % 33 == 0:
            producer.produce(topic, value, key)
            self.sent, self.repeats = self.sent + 1, self.repeats + 1

    def _next(self, number: int) -> tuple[str, str, str]:
        kind, now_ms = number % 10, int(time.time() * 1000)
        if kind == 0:
            client = f"v{number}"
            self.visits.append((client, f"e{number}"))
            return "visits", client, f'{{"type":"visit","id":"e{number}","client_id":"{client}","time":{now_ms}}}'
        client = f"c{self._rng.randrange(self.clients)}"
        if kind > 2:
            self.points[client] += kind
            return "messages", client, (f'{{"type":"points","id":"e{number}","client_id":"{client}","time":{now_ms},'
                                        f'"delta":{kind}}}')
        cents = 100 + number % 9900
        self.orders[client] += 1
        self.cents[client] += cents
        self.purchases.append((client, f"e{number}"))
        return "purchases", client, (f'{{"type":"purchase","id":"e{number}","client_id":"{client}","time":{now_ms},"order_id":'
                                     f'"o{number}","amount":"{cents // 100}.{cents % 100:02}","currency":"EUR"}}')


# -- the files


class Files:
    """The files of one process; each change of one is seen whole or not at all."""

    def __init__(self, process: Rfmd, folder: Path):
        self.process, self.era, self.rules = process, 0, {name: dict(rule) for name, rule in RULES.items()}
        self.segments: dict | None = None
        self.version: str | None = None
        self.model, self.config = dict(MODEL), dict(process.config)
        self.path = {"rules": folder / "rules.yaml", "model": folder / "model.yaml", "config": process.config_path}
        self.rules_of_era: list[dict] = []
        self._write_all()

    def text(self, name: str) -> str:
        if name == "rules":
            rules = [{"name": rule, "template": f"era-{self.era}", **keys} for rule, keys in self.rules.items()]
            head = {"segments": self.segments} if self.segments else {}
            return yaml.safe_dump({**head, "rules": rules}, sort_keys=False, width=1000, default_flow_style=None)
        return yaml.safe_dump(self.model if name == "model" else self.config, sort_keys=False)

    def _write(self, name: str, text: str) -> None:
        new = self.path[name].with_suffix(".new")
        new.write_text(text)
        os.replace(new, self.path[name])

    def _write_all(self) -> None:
        self.rules_of_era.append({name: dict(rule) for name, rule in self.rules.items()})
        for name in ("model", "config", "rules"):
            self._write(name, self.text(name))

    def change(self, number: int) -> str:
        """What a good reload changes, and what is said of it."""
        step = GOOD[number]
        self.era += 1
        for name, keys in step.get("rules", {}).items():
            self.rules[name] = {**self.rules.get(name, {}), **keys} if keys is not None else None
        self.rules = {name: keys for name, keys in self.rules.items() if keys is not None}
        self.segments = step.get("segments", self.segments)
        self.model |= step.get("model", {})
        self.config = merged(self.config, step.get("config"))
        self._write_all()
        return "reloaded: rules version"

    def spoil(self, number: int) -> str:
        """Writes a mistake; returns what has to be said of it, with its place."""
        name, mistake, at, message = BAD[number]
        text = self.text(name) + mistake
        self._write(name, text)
        offset = len(text) if at is None else text.rindex(at)
        line, column = text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1
        return f"{self.path[name]}:{line}:{column}: {message}"


# -- the run


@dataclass
class Result:
    faults: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)
    causes: list = field(default_factory=list)  # (number of the event, (client, what it was))

    @property
    def good(self) -> bool:
        return not self.faults

    def summary(self) -> str:
        counts = ", ".join(f"{name} {value}" for name, value in self.counts.items())
        return "\n".join([f"{'GREEN' if self.good else 'RED'}: {counts}", *(f"  {fault}" for fault in self.faults[:20])])


def reloads_under_load(folder: Path, rate: int, reloads: int, every_s: float, workers: int = 2, partitions: int = 4,
                       seed: int = 1, say=lambda text: None) -> Result:
    result = Result()
    config = {"engine": {"workers": workers}}
    with Cluster(folder, 1, partitions, [], config, trigger_topics=("triggers",)) as cluster:
        process = cluster.processes[0]
        files = Files(process, folder)
        cluster.start()
        load = Load(cluster.broker.address, rate, max(rate // 2, 100), seed).start()
        time.sleep(every_s)
        refused = sum(_reload(process, files, step, result, every_s, say) for step in plan(reloads))
        time.sleep(every_s)
        load.finish()
        say(f"{load.sent} events in {load.seconds:.1f} s")
        cluster.wait_consumed(300)
        time.sleep(DELAY_S + 1)  # what waits is due by now: a moment comes with the next whole second
        cluster.wait_timers(60)
        metrics = process.metrics()
        cluster.stop()
        if not topics.no_transaction_open(cluster.broker.address, cluster.outputs):
            result.faults.append("a transaction is still open at the end")
        result.counts = {"events": load.sent, "a second": round(load.sent / load.seconds), "repeats among them": load.repeats,
                         "behind at worst, s": round(load.late_s, 2), "reloads": reloads, "refused": refused,
                         "said taken": int(metrics['rfmd_reloads_total{result="taken"}']),
                         "said refused": int(metrics['rfmd_reloads_total{result="refused"}'])}
        result.faults += [f"dead letter: {record.value!r}" for record in cluster.dead_letters()]
        say("triggers and states are compared")
        check_triggers(result, load, files.rules_of_era, cluster.read("triggers", timeout_s=300))
        check_states(result, load, cluster.clients())
    return result


def _reload(process: Rfmd, files: Files, step: tuple[str, int], result: Result, every_s: float, say) -> bool:
    """SIGHUP, and what it says; True: refused."""
    kind, number = step
    seen = len(process.log_text())
    begin = time.monotonic()
    said = files.change(number) if kind == "good" else files.spoil(number)
    process.send(signal.SIGHUP)
    wait_for(f"{kind} reload {number}: {said}", lambda: _is_said(files, kind, said, process.log_text()[seen:]), 20, 0.05,
             lambda: process.log_text()[seen:][-3000:])
    if not process.running:
        result.faults.append(f"ended after {kind} reload {number}")
    say(f"{kind} reload {number}, {time.monotonic() - begin:.2f} s: {said} {files.version if kind == 'good' else ''}")
    time.sleep(max(0.0, every_s - (time.monotonic() - begin)))
    return kind == "bad"


def _is_said(files: Files, kind: str, said: str, log: str) -> bool:
    """Of a good one: a version that was not there before."""
    if kind == "bad":
        return said in log.replace('\\"', '"') and "reload refused: the configuration in use stays" in log
    new = [version for version in re.findall(said + " ([0-9a-f]+)", log) if version != files.version]
    files.version = new[-1] if new else files.version
    return bool(new)


# -- what has come of it


def check_triggers(result: Result, load: Load, rules_of_era: list[dict], records: list[topics.Record]) -> None:
    eras: dict[str, dict[str, int]] = defaultdict(dict)  # by rule, by id: under which rules it was sent
    versions: dict[str, set] = defaultdict(set)
    last: dict[int, int] = {}
    for record in records:
        trigger = json.loads(record.value)
        rule, id_, era = trigger["rule"], trigger["id"], int(trigger["template"].removeprefix("era-"))
        versions[trigger["template"]].add(trigger["rules_version"])
        if id_ in eras[rule]:
            result.faults.append(f"doubled: {rule} {id_} in era {eras[rule][id_]} and {era}")
        if era < last.get(record.partition, 0):
            result.faults.append(f"partition {record.partition} went back from era {last[record.partition]} to {era}")
        if rule not in rules_of_era[era]:
            result.faults.append(f"{rule} {id_} was sent in era {era}, which has no such rule")
        eras[rule][id_], last[record.partition] = era, era
    result.causes = [(int(id_[1:]), (client, f"{kind}\x1f{id_}"))
                     for kind, events in (("visit", load.visits), ("purchase", load.purchases)) for client, id_ in events]
    _check_purchases(result, load, rules_of_era, eras)
    _check_visits(result, load, rules_of_era, eras)
    result.faults += [f"{era} came as several versions" for era, found in versions.items() if len(found) > 1]
    result.counts |= {rule: len(found) for rule, found in sorted(eras.items())} | {"eras seen": len(versions)}


def _expect(result: Result, rule: str, found: dict, expected: set, possible: set | None = None) -> None:
    missing, extra = expected - found.keys(), found.keys() - (expected | (possible or set()))
    for what, ids in (("lost", missing), ("extra", extra)):
        if ids:
            result.faults.append(f"{rule}: {len(ids)} {what}, such as {min(ids)}{_causes(result, rule, ids)}")


def _causes(result: Result, rule: str, ids: set) -> str:
    """Of which events they are, so that one sees whether the end was cut off or something in the midst."""
    numbers = sorted(number for number, cause in result.causes if trigger_id(rule, *cause) in ids)
    return f", of events {numbers[0]} to {numbers[-1]} of {result.counts['events']}" if numbers else ""


def _check_purchases(result: Result, load: Load, rules_of_era: list[dict], eras: dict) -> None:
    causes = [(client, f"purchase\x1f{id_}") for client, id_ in load.purchases]
    _expect(result, "each", eras["each"], {trigger_id("each", *cause) for cause in causes})
    extra, perhaps = set(), set()
    for cause in causes:
        era = eras["each"].get(trigger_id("each", *cause))
        rule = rules_of_era[era].get("extra") if era is not None else None
        if rule is not None:
            (perhaps if "delay" in rule else extra).add(trigger_id("extra", *cause))
    _expect(result, "extra", eras["extra"], extra, perhaps)


def _check_visits(result: Result, load: Load, rules_of_era: list[dict], eras: dict) -> None:
    """`gone` waits beside `later`, from the same event to the same moment: it is sent if it was there all that time. If it was
    away for a while and the client was not looked at meanwhile, it may be."""
    causes = [(client, f"visit\x1f{id_}") for client, id_ in load.visits]
    for rule in ("seen", "later"):
        _expect(result, rule, eras[rule], {trigger_id(rule, *cause) for cause in causes})
    gone, perhaps, struck = set(), set(), 0
    for cause in causes:
        begin, end = eras["seen"].get(trigger_id("seen", *cause)), eras["later"].get(trigger_id("later", *cause))
        if begin is None or end is None:
            continue
        struck += begin != end
        there = ["gone" in rules_of_era[era] for era in range(begin, end + 1)]
        if there[0] and there[-1]:
            (gone if all(there) else perhaps).add(trigger_id("gone", *cause))
    _expect(result, "gone", eras["gone"], gone, perhaps)
    result.counts["waited over a reload"] = struck


def check_states(result: Result, load: Load, found: dict[str, dict]) -> None:
    expected = dict.fromkeys([client for client, _ in load.visits], (0, "0.00", 0, 1))
    for client in load.orders.keys() | load.points.keys():
        cents = load.cents[client]
        expected[client] = (load.orders[client], f"{cents // 100}.{cents % 100:02}", load.points[client], 0)
    for client in expected.keys() ^ found.keys():
        result.faults.append(f"{client}: {'missing' if client in expected else 'not expected'}")
    for client in expected.keys() & found.keys():
        state = found[client]
        facts = (state["orders"], state["revenue"], state["points"], state["visits"])
        if facts != expected[client]:
            result.faults.append(f"{client}: {facts} instead of {expected[client]}")
    result.counts["clients"] = len(found)
