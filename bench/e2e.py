#!/usr/bin/env python3
"""rfmd run beside its floor: a real Kafka, a real Redis, events that are all there when the clock starts.

Needs the end-to-end tests' Python packages and Kafka (tests/e2e/README.md). See bench/README.md for the columns."""
from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition  # noqa: E402
from harness import Cluster, KafkaBroker, RedisServer, topics, wait_for  # noqa: E402

PARTITIONS, SAMPLES, STEP_EVENTS = 4, 1000, 20_000
# Shipped rules, but for thank_you (each purchase) and promo codes (a secret), and one that fires at each visit.
RULES = [
    {"name": "bench", "on": {"event": "visit"}, "class": "transactional", "channels": ["email", "push", "sms"],
     "template": "thank_you", "topic": "triggers"},
    {"name": "review_request", "on": {"event": "purchase"}, "delay": "10d", "restart": True, "cancel_on": ["refund"],
     "class": "marketing", "channels": ["email"], "cooldown": "30d", "template": "review_request", "topic": "triggers"},
    {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, "class": "transactional", "channels": ["email", "push"],
     "once": True, "template": "welcome", "topic": "triggers"},
    {"name": "win_back", "on": {"fall": {"activity_ratio": 0.3}}, "cancel_on": ["purchase"], "class": "marketing",
     "channels": ["email", "push"], "cooldown": "90d", "template": "we_miss_you", "topic": "triggers"},
]


@dataclass
class Mix:
    """Purchases and a share of another type: visits, which trigger, or messages, which do not."""

    name: str
    tag: str
    type: str
    numbers: dict[str, list[dict]] = field(default_factory=lambda: {"rfmd": [], "floor": []})
    floor_input: FloorInput | None = None  # of the last turn

    def median(self, program: str, key: str) -> float:
        return statistics.median(run[key] for run in self.numbers[program])


@dataclass
class FloorInput:
    topic: str
    begins: list[int]  # by partition
    samples: Path


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads, to the nanosecond (Linux's clock of a process)."""
    return time.clock_gettime((~pid << 3) | 2)


def peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


class Session:
    """A topic, an rfmd and a Redis of their own: every run meets clients with the same past, one purchase each."""

    def __init__(self, options: argparse.Namespace, broker: KafkaBroker, folder: Path, mix: Mix, turn: int):
        self.options, self.broker, self.mix, self.first = options, broker, mix, 1
        self.tag = f"{mix.tag}-{turn}"
        self.topic, self.triggers_topic = f"events-{self.tag}", f"triggers-{self.tag}"
        inputs = {name: None for name in ("purchases", "visits", "messages")}
        inputs["events"] = {"topic": self.topic, "format": "native"}
        self.cluster = Cluster(
            folder / self.tag, processes=1, partitions=PARTITIONS, broker=broker, trigger_topics=(self.triggers_topic,),
            rules=[{**rule, "topic": self.triggers_topic} for rule in RULES], config={
                "kafka": {"inputs": inputs, "group": self.tag, "wal": f"wal-{self.tag}",
                          "dead_letters": f"dead-letters-{self.tag}", "audit": f"audit-{self.tag}"},
                "engine": {"cache_bytes_max": "2GiB", "step_events_max": STEP_EVENTS},
                "rfm": {"r": "population", "f": "fixed", "m": "population"}})
        self.folder = folder / self.tag
        self.rfmd = self.cluster.processes[0]
        self.admin = topics.admin(broker.address)

    def run(self) -> None:
        self.rfmd.start()
        self.run_rfmd(self.options.clients, 0)  # each client buys once, and is in the cache from then on
        begins = self.ends()
        self.mix.numbers["rfmd"].append(self.run_rfmd(self.options.events, round(self.options.triggers * 10)))
        self.mix.floor_input = FloorInput(self.topic, begins, self.write_samples())
        code = self.rfmd.stop()
        assert code == 0, f"rfmd ended with {code}\n{self.rfmd.log_tail()}"

    # -- input

    def produce(self, events: int, permille: int) -> subprocess.Popen:
        """Everything is written, nothing committed yet."""
        child = subprocess.Popen([str(self.options.build / "bench_e2e_produce"), self.broker.address, self.topic,
                                  str(events), str(self.options.clients), str(self.first), str(permille), self.mix.type],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first += events
        assert child.stdout.readline() == "ready\n", "bench_e2e_produce failed"
        return child

    def commit(self, child: subprocess.Popen) -> None:
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "committed\n", "bench_e2e_produce failed"
        child.wait(60)

    def ends(self) -> list[int]:
        known = topics.end_offsets(self.broker.address, [self.topic], committed_only=False)
        return [known[self.topic, number] for number in range(PARTITIONS)]

    # -- rfmd

    def read_to(self, ends: list[int]) -> bool:
        answers = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.tag)], require_stable=False,
                                                         request_timeout=15)
        known = {part.partition: part.offset for part in answers[self.tag].result(20).topic_partitions}
        return all(known.get(number, 0) >= end for number, end in enumerate(ends))

    def run_rfmd(self, events: int, permille: int) -> dict:
        child = self.produce(events, permille)
        ends = self.ends()
        pids = {"rfmd": self.rfmd.pid, "broker": self.broker.pid, "redis": self.cluster.redis.pid}
        used, grown = {name: -cpu_s(pid) for name, pid in pids.items()}, self.rfmd.metrics()
        begun = time.monotonic()
        self.commit(child)
        wait_for("rfmd to read everything", lambda: self.read_to(ends), 600, 0.03, self.rfmd.log_tail)
        wall_s = time.monotonic() - begun
        wait_for("Redis to have everything", lambda: self.rfmd.metric("rfmd_dirty_bytes") == 0, 60, 0.1)
        used = {name: used[name] + cpu_s(pid) for name, pid in pids.items()}
        grown = {name: value - grown.get(name, 0) for name, value in self.rfmd.metrics().items()}

        def total(metric: str) -> float:
            return sum(value for name, value in grown.items() if name.split("{")[0] == metric)

        return numbers(events, used["rfmd"], wall_s, peak_kib(self.rfmd.pid), total("rfmd_steps_total"),
                       total("rfmd_redo_bytes_total"), total("rfmd_triggers_total"),
                       broker_us=used["broker"] / events * 1e6, redis_us=used["redis"] / events * 1e6)

    # -- samples of rfmd's own states and triggers, for the floor

    def states(self) -> list[bytes]:
        client = self.cluster.redis.client()
        bundles = client.scan_iter(match="rfm:*:b:*", count=1000)
        return list(itertools.islice((state for key in bundles for state in client.hvals(key)), SAMPLES))

    def triggers(self) -> list:
        """The newest of each partition."""
        ends = topics.end_offsets(self.broker.address, [self.triggers_topic])
        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "samples", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, number, max(0, end - SAMPLES)) for (topic, number), end in ends.items()])
        found = []
        while message := consumer.poll(3):
            if message.error() is None:
                found.append((message.value(), message.headers() or []))
        consumer.close()
        return found

    def write_samples(self) -> Path:
        def text(value: bytes) -> bytes:
            return struct.pack("<I", len(value)) + value

        states, triggers = self.states(), self.triggers()
        parts = [struct.pack("<I", len(states)), *map(text, states), struct.pack("<I", len(triggers))]
        for value, headers in triggers:
            parts += [text(value), struct.pack("<I", len(headers))]
            parts += [text(name.encode()) + text(header) for name, header in headers]
        path = self.folder / "samples"
        path.write_bytes(b"".join(parts))
        return path


class Bench:
    def __init__(self, options: argparse.Namespace, folder: Path):
        self.options, self.folder = options, folder
        self.mixes = [Mix("0 % triggers", "plain", "message"),
                      Mix(f"{options.triggers:g} % triggers", "triggering", "visit")]
        self.broker = KafkaBroker(folder).start()
        self.floor_redis = RedisServer(folder / "floor").start()
        self.broker.create_topics(PARTITIONS, "floor-wal", "floor-triggers")

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_) -> None:
        self.floor_redis.kill()
        self.broker.kill()

    def run_rfmd(self, mix: Mix, turn: int) -> None:
        session = Session(self.options, self.broker, self.folder, mix, turn)
        with session.cluster:
            session.run()
        self.say(mix, turn, "rfmd")

    def run_floor(self, mix: Mix, turn: int) -> None:
        given = mix.floor_input
        done = subprocess.run([str(self.options.build / "bench_e2e_floor"), self.broker.address, given.topic,
                               str(self.options.events), str(STEP_EVENTS), self.floor_redis.socket, str(given.samples), "visit",
                               "floor-wal", "floor-triggers", *map(str, given.begins)],
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        got = json.loads(done.stdout)
        mix.numbers["floor"].append(numbers(got["events"], got["cpu_s"], got["wall_s"], got["rss_kib"], got["steps"],
                                            got["wal_bytes"], got["triggers"]))
        self.say(mix, turn, "floor")

    def say(self, mix: Mix, turn: int, program: str) -> None:
        print(f"  turn {turn + 1}, {mix.name}, {program}: {mix.numbers[program][-1]['us']:.2f} CPU-us an event",
              file=sys.stderr, flush=True)

    def forget(self, topic: str) -> None:
        admin = topics.admin(self.broker.address)  # its futures live no longer than it does
        for future in admin.delete_topics([topic]).values():
            future.result(30)

    def run(self) -> None:
        for turn in range(self.options.repeat):
            for mix in self.mixes:
                old = mix.floor_input
                order = [self.run_rfmd, self.run_floor]
                for run in order if turn % 2 == 0 else reversed(order):  # the floor first: on the events of the turn before
                    run(mix, turn)
                if old:
                    self.forget(old.topic)


def numbers(events, cpu, wall, rss_kib, steps, wal_bytes, triggers, **more) -> dict:
    return {"us": cpu / events * 1e6, "rate": events / wall, "rss": rss_kib / 1024, "step": events / max(steps, 1),
            "wal": wal_bytes / events, "triggers": triggers / events, **more}


def report(bench: Bench) -> float:
    print(f"{'':14} {'':6} {'CPU-us':>8} {'events/s':>9} {'RSS MiB':>8} {'events':>7} {'WAL B':>7} {'triggers':>9} "
          f"{'broker us':>10} {'redis us':>9}")
    print(f"{'':14} {'':6} {'an event':>8} {'':>9} {'peak':>8} {'a step':>7} {'an event':>7} {'an event':>9} "
          f"{'an event':>10} {'an event':>9}")
    for mix in bench.mixes:
        for program in ("floor", "rfmd"):
            row = {key: mix.median(program, key) for key in mix.numbers[program][0]}
            rest = f"{row['broker_us']:10.2f} {row['redis_us']:9.2f}" if "broker_us" in row else ""
            print(f"{mix.name:14} {program:6} {row['us']:8.2f} {row['rate']:9.0f} {row['rss']:8.0f} {row['step']:7.0f} "
                  f"{row['wal']:7.0f} {row['triggers']:9.4f} {rest}")
    plain, triggering = bench.mixes
    ratios = [mix.median("rfmd", "us") / mix.median("floor", "us") for mix in bench.mixes]
    print(f"\nrfmd costs {ratios[0]:.2f} times its floor without triggers, {ratios[1]:.2f} times with {bench.options.triggers:g} %")
    for program in ("floor", "rfmd"):
        share = triggering.median(program, "triggers")
        if share:
            print(f"one trigger, {program}: {(triggering.median(program, 'us') - plain.median(program, 'us')) / share:.2f} CPU-us")
    return ratios[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000, help="events of a run (default 2,000,000)")
    parser.add_argument("--clients", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--triggers", type=float, default=5, help="per cent of the events that trigger (default 5)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the median counts (default 3)")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release", help="folder of rfmd and the benches")
    parser.add_argument("--folder", type=Path, help="where to keep logs and data (default: a temporary one)")
    parser.add_argument("--check", action="store_true", help="exit 1 if rfmd costs more than twice its floor")
    options = parser.parse_args()
    options.build = options.build.resolve()
    os.environ["RFMD"] = str(options.build / "rfmd")
    with tempfile.TemporaryDirectory(prefix="rfmd-bench-") as made:
        with Bench(options, (options.folder or Path(made)) / "bench") as bench:
            bench.run()
        ratio = report(bench)
    return 1 if options.check and ratio > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
