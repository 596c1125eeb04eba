"""Exactly once under fire: traffic and faults against a cluster, then what came out beside what should have."""
from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reference.decode import Refused, decode, parse_time_ms
from reference.partition import key_on, partition_of
from reference.scores import Model, Settings
from reference.world import World

from . import topics
from .broker_group import BrokerGroup
from .chaos import Chaos, Plan, expected_s
from .cluster import Cluster
from .redis_group import SentinelGroup
from .rfmd import client_lines, merged, replay
from .traffic import Message, Shape, Traffic, _text_of
from .waiting import Timeout

DAY_MS = 86_400_000
SCORES = ("age", "p_alive", "p_active", "churn_risk", "activity_ratio", "expected_orders")
TRANSACTIONAL = {"class": "transactional", "channels": ["email", "push"], "topic": "triggers"}
WALL_RULES = [
    {"name": "thank_you", "on": {"event": "purchase"}, "template": "thanks", **TRANSACTIONAL},
    {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, "template": "hello", **TRANSACTIONAL},
    {"name": "review", "on": {"event": "purchase"}, "delay": "5s", "once": True, "template": "how_was_it", **TRANSACTIONAL},
]
RECORD_RULES = [
    {"name": "thank_you", "on": {"event": "purchase"}, "template": "thanks", **TRANSACTIONAL},
    {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, "template": "hello", **TRANSACTIONAL},
    {"name": "review", "on": {"event": "purchase"}, "delay": "7d", "cancel_on": ["refund"], "template": "how_was_it",
     **TRANSACTIONAL},
    {"name": "win_back", "on": {"fall": {"activity_ratio": 0.3}}, "cooldown": "90d", "class": "marketing",
     "channels": ["push", "email", "sms"], "topic": "triggers", "template": "we_miss_you",
     "promo": {"prefix": "BACK", "percent": 15, "valid": "14d"}},
    {"name": "nudge", "on": {"event": "visit"}, "delay": "1d", "cancel_on": ["purchase"], "cooldown": "14d",
     "class": "marketing", "channels": ["email", "sms"], "topic": "triggers", "template": "still_looking"},
]
# MBG/NBD in days, quick to forget: ratios cross their thresholds within weeks.
QUICK_MODEL = {"model": "mbg_nbd", "unit": "day", "r": 0.8, "alpha": 9.0, "a": 0.9, "b": 1.6, "evidence_cap": 5}


@dataclass
class Verdict:
    """What a run did wrong; each list is shown by its first entries."""

    lost: list = field(default_factory=list)
    repeated: list = field(default_factory=list)
    extra: list = field(default_factory=list)
    wrong_states: list = field(default_factory=list)
    dead_letters: list = field(default_factory=list)
    died: list = field(default_factory=list)
    other: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not any(getattr(self, name) for name in self._faults())

    @staticmethod
    def _faults() -> tuple:
        return ("lost", "repeated", "extra", "wrong_states", "dead_letters", "died", "other")

    def summary(self) -> str:
        counts = ", ".join(f"{name} {value}" for name, value in self.counts.items())
        faults = ", ".join(f"{name} {len(getattr(self, name))}" for name in self._faults())
        return f"{'GREEN' if self.good else 'RED'}: {counts}; {faults}"

    def details(self, shown: int = 5) -> str:
        lines = [self.summary()]
        for name in self._faults():
            for entry in getattr(self, name)[:shown]:
                lines.append(f"  {name}: {entry}")
        return "\n".join(lines)


class Sender(threading.Thread):
    """Sends messages at an even rate, in order, over broker restarts. `persistent`: again what a broker refused for good,
    as one without room on its disk does; it may stand in the log twice then."""

    def __init__(self, cluster: Cluster, messages: list[Message], over_s: float, timestamps: list[int] | None = None,
                 persistent: bool = False):
        super().__init__(daemon=True)
        self.writer = cluster.writer(persistent, **{"queue.buffering.max.messages": 1_000_000, "message.timeout.ms": 300_000})
        self.messages, self.over_s, self.timestamps = messages, over_s, timestamps
        self.partitions, self.error = cluster.partitions, None

    def run(self) -> None:
        try:
            begin = time.monotonic()
            for number, message in enumerate(self.messages):
                ahead_s = number / len(self.messages) * self.over_s - (time.monotonic() - begin)
                if ahead_s > 0.02:
                    self.writer.producer.poll(0)
                    time.sleep(ahead_s)
                self.writer.send(message.topic, message.key, message.value,
                                 self.timestamps[number] if self.timestamps else None, self._partition(message))
            self.writer.flush(300)
            self.writer.insist(300)
        except Exception as error:  # noqa: BLE001 - handed to the joining thread
            self.error = error

    def _partition(self, message: Message) -> int:
        if message.partition != -2:
            return message.partition
        return (partition_of(message.key.encode(), self.partitions) + 1) % self.partitions

    def finish(self, timeout_s: float) -> list[tuple]:
        self.join(timeout_s)
        assert not self.is_alive(), "the traffic has not been sent in time"
        if self.error:
            raise self.error
        return self.writer.sent


def burn(cluster: Cluster, messages: list[Message], plan: Plan, timestamps: list[int] | None = None,
         say=lambda text: None, sentinels: SentinelGroup | None = None) -> tuple[Chaos, list[tuple]]:
    """Traffic and faults at once; afterwards every process runs. Returns what was done, and where each message stands."""
    chaos = Chaos(cluster, plan, sentinels)
    sender = Sender(cluster, messages, expected_s(chaos.steps), timestamps, persistent=plan.full_disks > 0)
    say(f"{len(messages)} events and {len(chaos.steps)} faults in about {sender.over_s:.0f} s")
    sender.start()
    chaos.run()
    return chaos, sender.finish(sender.over_s + 300)


@dataclass(frozen=True)
class Site:
    """What a run burns: how many of each."""

    processes: int = 2
    partitions: int = 4
    brokers: int = 1
    sentinel: bool = False
    static: bool = False

    def calm(self) -> "Site":
        """The same work where nothing burns: one broker, one Redis."""
        return Site(self.processes, self.partitions)

    @contextmanager
    def cluster(self, folder: Path, plan: Plan, rules: list, config: dict, model: dict | None = None):
        """The cluster, and its Sentinels or None."""
        with ExitStack() as stack:
            broker = sentinels = None
            if self.brokers > 1:
                broker = BrokerGroup(folder, self.brokers, own_disks=plan.full_disks > 0)
                stack.callback(broker.kill)
            if self.sentinel:
                sentinels = SentinelGroup(folder / "sentinels", down_after_ms=2000)
                stack.callback(sentinels.kill)
                config = merged(config, {"redis": {"url": sentinels.url}})
            yield stack.enter_context(Cluster(folder, self.processes, self.partitions, rules, config, model, broker,
                                              sentinels and sentinels.master, self.static)), sentinels


def drain(cluster: Cluster, verdict: Verdict, timeout_s: float) -> None:
    """All consumed, then every process stopped by SIGTERM."""
    try:
        cluster.settle(timeout_s)
    except AssertionError as error:
        verdict.other.append(str(error))
        for process in cluster.processes:
            process.kill()


# -- the form with the wall clock: three input topics, facts and triggers against the reference


def wall_form(folder: Path, events: int, clients: int, plan: Plan, site: Site = Site(), config: dict | None = None,
              say=lambda text: None) -> Verdict:
    verdict, settings = Verdict(), Settings()
    now_ms = int(time.time() * 1000)
    messages = Traffic(Shape(events=events, clients=clients, seed=plan.seed, end_ms=now_ms,
                             partitions=site.partitions)).messages()
    # A cache that does not hold all clients: they are evicted and loaded all the time.
    session = {"kafka": {"consumer": {"session.timeout.ms": str(int(plan.session_s * 1000))}},
               "engine": {"cache_bytes_max": "1MiB"}}
    with site.cluster(folder, plan, WALL_RULES, merged(session, config)) as (cluster, sentinels):
        cluster.start()
        chaos, _ = burn(cluster, messages, plan, say=say, sentinels=sentinels)
        world = reference_of_topics(cluster, settings)
        say("the reference is done")
        _wait_for_due(cluster, verdict, len(world.sent))
        drain(cluster, verdict, 180)
        as_of = int(time.time() * 1000)
        compare_states(verdict, world, cluster.clients(as_of), as_of)
        _heal_after_a_last_rollback(cluster, verdict, world, as_of, has_replica=site.sentinel)
        compare_triggers(verdict, world, cluster.triggers())
        compare_dead_letters(verdict, world, cluster.dead_letters())
        _finish(verdict, cluster, chaos, events, len(world.sent), len(world.dead_letters))
    return verdict


def reference_of_topics(cluster: Cluster, settings: Settings) -> World:
    """Of what stands in the inputs, in the order in which each partition has it; between topics any order will do."""
    world = World(settings, WALL_RULES)
    for topic in sorted(cluster.inputs):
        for record in cluster.read(topic, timeout_s=180):
            world.record(topic, record.partition, record.offset, cluster.partitions, record.timestamp_ms, record.key or b"",
                         record.value)
    world.advance(2**60)
    return world


def by_partition(messages: list[Message], positions: list[tuple]) -> list[tuple]:
    """Records in the order in which each partition holds them; between topics any order will do."""
    return sorted(zip(messages, positions), key=lambda pair: pair[1][:3])


def _wait_for_due(cluster: Cluster, verdict: Verdict, count: int) -> None:
    """All consumed, and as many triggers as expected, or the deadline: what is missing is found by the comparison."""
    try:
        cluster.wait_consumed(180)
        cluster.wait_triggers(count, 60)
    except Timeout as timeout:
        verdict.other.append(str(timeout))
    except AssertionError as error:
        verdict.died.append(str(error))


def _heal_after_a_last_rollback(cluster: Cluster, verdict: Verdict, world: World, as_of: int, has_replica: bool) -> None:
    """Redis loses its last seconds while nobody runs, or everything: whoever starts makes it whole from the log."""
    server = cluster.redis
    if has_replica:
        server.client().flushall()  # a restart might be a fail-over, with a loss of its own
    else:
        server.roll_back(server.snapshots[-2][1] if len(server.snapshots) > 1 else None)
    try:
        cluster.start()
        cluster.stop()
    except AssertionError as error:
        verdict.other.append(f"after a last rollback: {error}")
        for process in cluster.processes:
            process.kill()
    found = Verdict()
    compare_states(found, world, cluster.clients(as_of), as_of)
    verdict.wrong_states += [f"after a last rollback: {text}" for text in found.wrong_states]


def compare_states(verdict: Verdict, world: World, found: dict[str, dict], as_of: int) -> None:
    expected = {name: client.facts for name, client in world.clients.items()}
    for name in expected.keys() ^ found.keys():
        verdict.wrong_states.append(f"{name}: {'missing' if name in expected else 'not expected'}")
    for name in expected.keys() & found.keys():
        differences = state_differences(expected[name].view(as_of, world.settings), found[name])
        if differences:
            verdict.wrong_states.append(f"{name}: {'; '.join(differences)}")
    verdict.counts["clients"] = len(expected)


def state_differences(expected: dict, found: dict, tolerance: float = 1e-9) -> list[str]:
    """Facts exactly, scores within the tolerance."""
    differences = []
    for name, value in expected.items():
        other = found.get(name)
        if name in SCORES and value is not None:
            same = isinstance(other, (int, float)) and abs(other - value) <= tolerance * max(1.0, abs(value))
        elif name == "messages":
            same = value == {channel: {status: n for status, n in counts.items() if n}
                             for channel, counts in (other or {}).items()}
        else:
            same = other == value
        if not same:
            differences.append(f"{name} {other!r} instead of {value!r}")
    return differences


def compare_triggers(verdict: Verdict, world: World, records: list) -> None:
    expected = {outcome.id: outcome for outcome in world.sent}
    found = Counter(record.header("ce_id") or record.json["id"] for record in records)
    verdict.lost += [expected[id_] for id_ in expected.keys() - found.keys()]
    verdict.repeated += [f"{id_} x {count}" for id_, count in found.items() if count > 1]
    strangers = found.keys() - expected.keys()
    verdict.extra += [record.value.decode() for record in records if (record.header("ce_id") or record.json["id"]) in strangers]
    for record in records:
        outcome = expected.get(record.header("ce_id") or record.json["id"])
        if outcome and (record.key.decode(), record.json["rule"]) != (outcome.client_id, outcome.rule):
            verdict.other.append(f"trigger {outcome.id} stands on {record.key!r} as {record.json['rule']}")
    verdict.counts["triggers"] = len(records)


def compare_dead_letters(verdict: Verdict, world: World, records: list) -> None:
    places = Counter()
    for record in records:
        place = (record.header("rfmd.topic"), int(record.header("rfmd.partition")), int(record.header("rfmd.offset")))
        places[place] += 1
        reasons = world.dead_letters.get(place)
        if reasons is None:
            verdict.dead_letters.append(f"extra: {place} {record.header('rfmd.reason')} {record.value[:120]!r}")
        elif record.header("rfmd.reason") not in reasons:
            verdict.dead_letters.append(f"{place}: {record.header('rfmd.reason')} instead of {reasons} {record.value[:120]!r}")
    verdict.dead_letters += [f"lost: {place} {world.dead_letters[place]}" for place in world.dead_letters.keys() - places.keys()]
    verdict.dead_letters += [f"repeated: {place} x {count}" for place, count in places.items() if count > 1]
    verdict.counts["dead letters"] = len(records)


_PLURALS = {"kill": "kills", "stop": "pauses", "rollback": "rollbacks", "broker": "broker faults", "swap": "swaps",
            "rebalance": "joins and leaves", "failover": "failovers", "leaders": "leader moves", "roll": "rolling restarts",
            "disk": "full disks"}


def _finish(verdict: Verdict, cluster: Cluster, chaos: Chaos | None, events: int, triggers: int, bad: int) -> None:
    if not topics.no_transaction_open(cluster.broker.address, cluster.outputs):
        verdict.other.append("a transaction is still open at the end")
    verdict.counts = {"events": events, "expected triggers": triggers, "expected dead letters": bad, **verdict.counts}
    if chaos:
        verdict.died += chaos.died
        verdict.counts["faults"] = len(chaos.steps)
        verdict.counts.update({_PLURALS.get(kind, kind): count for kind, count in sorted(chaos.survived.items())})
        assignments = sum(process.log_text().count(": assignment ") for process in cluster.processes)
        verdict.counts["assignments"] = assignments
        verdict.other += chaos.blanks(assignments)


# -- the form with the record clock: one input topic, byte for byte


def record_config(folder: Path) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "promo-secret").write_text("a secret of the tests")
    return {"promo": {"secret_file": str(folder / "promo-secret")},
            "kafka": {"inputs": {"purchases": None, "visits": None, "messages": None,
                                 "events": {"topic": "events", "format": "native"}}},
            "engine": {"clock": "record"}}


def record_traffic(events: int, clients: int, seed: int, partitions: int,
                   traffic=Traffic) -> tuple[list[Message], list[int], int]:
    """Messages, their Kafka timestamps (the running maximum of `time`), and the last marker's moment."""
    shape = Shape(events=events, clients=clients, seed=seed, end_ms=1_751_328_000_000, span_days=120,
                  one_topic="events", all_statuses=True, partitions=partitions)
    messages = traffic(shape).messages()
    end_ms = shape.end_ms + 30 * DAY_MS + 123
    for partition in range(partitions):
        key = key_on(partition, partitions)
        value = f'{{"type":"visit","id":"marker","client_id":"{key}","time":{end_ms}}}'.encode()
        messages.append(Message("events", key, value, end_ms, kind="marker"))
    timestamps, clock = [], shape.end_ms - int((shape.span_days + shape.late_days + 1) * DAY_MS)
    for message in messages:
        clock = max(clock, _time_of(message.value, clock))
        timestamps.append(clock)
    return messages, timestamps, end_ms


def _time_of(value: bytes, otherwise: int) -> int:
    try:
        return decode(value, Settings()).time_ms
    except Refused:
        return otherwise


@dataclass
class Outcome:
    """What one run of the record form left: as bytes, in an order that does not depend on how partitions interleave."""

    clients: list[bytes]
    triggers: list[tuple]
    values: list[bytes]
    dead_letters: list[tuple]
    audit: list[tuple]


def _numbered(record: topics.Record, numbers: dict[tuple, str]) -> tuple:
    """With the number of the original message instead of its offset: over a broker's restart even an idempotent producer may put
    a record twice, and what follows in the log then has other offsets than without faults."""
    place = (record.header("rfmd.topic"), int(record.header("rfmd.partition")), int(record.header("rfmd.offset")))
    headers = [header for header in record.headers if header[0] != "rfmd.offset"]
    return record.value or b"", tuple(sorted(headers)), numbers.get(place, f"not sent: {place}")


def record_run(folder: Path, messages: list[Message], timestamps: list[int], end_ms: int, plan: Plan | None, site: Site,
               verdict: Verdict, rules=RECORD_RULES, more: dict | None = None,
               say=lambda text: None) -> tuple[Outcome, Chaos | None]:
    session = (plan or Plan()).session_s
    config = merged(record_config(folder), more)
    config["kafka"]["consumer"] = {"session.timeout.ms": str(int(session * 1000))}
    with site.cluster(folder, plan or Plan(), rules, config, QUICK_MODEL) as (cluster, sentinels):
        cluster.start()
        chaos = None
        if plan:
            chaos, sent = burn(cluster, messages, plan, timestamps, say, sentinels)
        else:
            sender = Sender(cluster, messages, 0, timestamps)
            sender.start()
            sent = sender.finish(300)
        drain(cluster, verdict, 240)
        _finish(verdict, cluster, chaos, len(messages), 0, 0)
        audit, dead = cluster.audit(), cluster.dead_letters()
        numbers = {place[:3]: f"message {number}" for number, place in enumerate(sent)}
        triggers = cluster.triggers()
        return Outcome(
            sorted(client_lines(cluster.config_path, _text_of(end_ms))),
            sorted((record.key, record.value, record.headers) for record in triggers),
            sorted(record.value for record in triggers),
            sorted(_numbered(record, numbers) for record in dead),
            sorted((record.key or b"", record.value) for record in audit)), chaos


def record_form(folder: Path, events: int, clients: int, plan: Plan, site: Site = Site(),
                say=lambda text: None) -> Verdict:
    assert not plan.full_disks, "a broker without room may have an event put in twice, or in another order"
    verdict, partitions = Verdict(), site.partitions
    messages, timestamps, end_ms = record_traffic(events, clients, plan.seed, partitions)
    say("a run without faults")
    calm, _ = record_run(folder / "calm", messages, timestamps, end_ms, None, site.calm(), verdict, say=say)
    say("the same under fire")
    burnt, _ = record_run(folder / "fire", messages, timestamps, end_ms, plan, site, verdict, say=say)
    say("the same by replay")
    compare_outcomes(verdict, "without faults", calm, burnt)
    compare_with_replay(verdict, folder, messages, end_ms, burnt)
    world = reference_of_records(messages, timestamps, end_ms, partitions)
    compare_with_world(verdict, world, calm)
    verdict.counts.update({"triggers": len(burnt.triggers), "clients": len(burnt.clients),
                           "dead letters": len(burnt.dead_letters), "audit": len(burnt.audit)})
    del verdict.counts["expected triggers"], verdict.counts["expected dead letters"]
    return verdict


def compare_outcomes(verdict: Verdict, name: str, expected: Outcome, found: Outcome) -> None:
    _compare_bags(verdict.wrong_states, verdict.wrong_states, f"state {name}", expected.clients, found.clients)
    _compare_bags(verdict.lost, verdict.extra, f"trigger {name}", expected.triggers, found.triggers)
    _compare_bags(verdict.dead_letters, verdict.dead_letters, f"dead letter {name}", expected.dead_letters, found.dead_letters)
    _compare_bags(verdict.other, verdict.other, f"audit {name}", expected.audit, found.audit)
    ids = Counter(value for value in found.values)
    verdict.repeated += [value.decode() for value, count in ids.items() if count > 1]


def _compare_bags(missing: list, extra: list, name: str, expected: list, found: list) -> None:
    expected, found = Counter(expected), Counter(found)
    missing += [f"{name}, missing: {entry}" for entry in (expected - found).elements()]
    extra += [f"{name}, extra: {entry}" for entry in (found - expected).elements()]


def compare_with_replay(verdict: Verdict, folder: Path, messages: list[Message], end_ms: int, burnt: Outcome) -> None:
    lines = [message.value for message in messages]
    # A file's lines are its records: what is empty or has a line's end in it cannot stand in one.
    lines = [line for line in lines if line and b"\n" not in line]
    events = folder / "events.ndjson"
    events.write_bytes(b"\n".join(lines) + b"\n")
    out = replay(folder / "calm" / "rfmd.yaml", [events], folder, _text_of(end_ms))
    _compare_bags(verdict.wrong_states, verdict.wrong_states, "state in replay", sorted(out["clients"]), burnt.clients)
    _compare_bags(verdict.lost, verdict.extra, "trigger in replay", sorted(out["triggers"]), burnt.values)
    _compare_bags(verdict.other, verdict.other, "audit in replay", sorted(out["audit"]), [value for _, value in burnt.audit])


def reference_of_records(messages: list[Message], timestamps: list[int], end_ms: int, partitions: int,
                         rules=RECORD_RULES) -> World:
    model = Model(**{name: QUICK_MODEL[name] for name in ("r", "alpha", "a", "b")}, unit_days=1.0, evidence_cap=5.0)
    world = World(Settings(model=model), rules)
    for number, (message, timestamp) in enumerate(zip(messages, timestamps)):
        key = message.key.encode()
        world.record("events", partition_of(key, partitions), number, partitions, timestamp, key, message.value)
    world.advance(end_ms)
    return world


def compare_with_world(verdict: Verdict, world: World, outcome: Outcome) -> None:
    found = {}
    for value in outcome.values:
        trigger = json.loads(value)
        found[trigger["id"]] = trigger
    expected = {sent.id: sent for sent in world.sent}
    verdict.lost += [f"by the reference: {expected[id_]}" for id_ in expected.keys() - found.keys()]
    verdict.extra += [f"by the reference: {found[id_]}" for id_ in found.keys() - expected.keys()]
    compare_facts(verdict, world, outcome)


def compare_facts(verdict: Verdict, world: World, outcome: Outcome) -> None:
    clients = {client["client_id"]: client for client in map(json.loads, outcome.clients)}
    as_of = next(iter(clients.values()))["as_of"] if clients else None
    for name, client in world.clients.items():
        differences = state_differences(client.facts.view(parse_time_ms(as_of), world.settings), clients.get(name, {}))
        if differences:
            verdict.wrong_states.append(f"by the reference: {name}: {'; '.join(differences)}")
    verdict.dead_letters += ([] if len(world.dead_letters) == len(outcome.dead_letters) else
                             [f"{len(outcome.dead_letters)} instead of {len(world.dead_letters)} by the reference"])
