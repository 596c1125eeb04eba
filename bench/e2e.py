#!/usr/bin/env python3
"""rfmd run beside its floor: a real Kafka, a real Redis, events that are all there when the clock starts.

Needs the end-to-end tests' Python packages and Kafka (tests/e2e/README.md). See bench/README.md for the columns."""
from __future__ import annotations

import argparse
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
from harness import Cluster, topics, wait_for  # noqa: E402

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
    topic: str
    type: str
    numbers: dict[str, list[dict]] = field(default_factory=lambda: {"rfmd": [], "floor": []})

    def median(self, program: str, key: str) -> float:
        return statistics.median(run[key] for run in self.numbers[program])


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads, to the nanosecond (Linux's clock of a process)."""
    return time.clock_gettime((~pid << 3) | 2)


def peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


class Bench:
    def __init__(self, options: argparse.Namespace, folder: Path):
        self.options, self.folder, self.first = options, folder, 1
        self.mixes = [Mix("0 % triggers", "bench-plain", "message"),
                      Mix(f"{options.triggers:g} % triggers", "bench-triggers", "visit")]
        inputs = {name: None for name in ("purchases", "visits", "messages")}
        inputs.update({mix.topic: {"topic": mix.topic, "format": "native"} for mix in self.mixes})
        self.cluster = Cluster(folder, processes=1, partitions=PARTITIONS, rules=RULES, config={
            "kafka": {"inputs": inputs, "group": "bench"},
            "engine": {"cache_bytes_max": "2GiB", "step_events_max": STEP_EVENTS},
            "rfm": {"r": "population", "f": "fixed", "m": "population"}})
        self.cluster.broker.create_topics(PARTITIONS, "floor-wal", "floor-triggers")
        self.admin = topics.admin(self.cluster.broker.address)

    @property
    def rfmd(self):
        return self.cluster.processes[0]

    # -- input

    def produce(self, mix: Mix, events: int, permille: int) -> subprocess.Popen:
        """Everything is written, nothing committed yet."""
        child = subprocess.Popen([str(self.options.build / "bench_e2e_produce"), self.cluster.broker.address, mix.topic, str(events),
                                  str(self.options.clients), str(self.first), str(permille), mix.type],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first += events
        assert child.stdout.readline() == "ready\n", "bench_e2e_produce failed"
        return child

    def commit(self, child: subprocess.Popen) -> None:
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "committed\n", "bench_e2e_produce failed"
        child.wait(60)

    def ends(self, mix: Mix) -> dict[tuple[str, int], int]:
        return topics.end_offsets(self.cluster.broker.address, [mix.topic], committed_only=False)

    # -- rfmd

    def committed(self) -> dict[tuple[str, int], int]:
        answers = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("bench")], require_stable=False,
                                                         request_timeout=15)
        return {(part.topic, part.partition): part.offset for part in answers["bench"].result(20).topic_partitions}

    def read_to(self, ends: dict) -> bool:
        """A commit marker stands behind the last record."""
        known = self.committed()
        return all(known.get(part, 0) >= end for part, end in ends.items())

    def run_rfmd(self, mix: Mix, events: int, permille: int) -> dict:
        child = self.produce(mix, events, permille)
        ends = self.ends(mix)
        pids = {"rfmd": self.rfmd.pid, "broker": self.cluster.broker.pid, "redis": self.cluster.redis.pid}
        before, stats = {name: cpu_s(pid) for name, pid in pids.items()}, self.rfmd.metrics()
        begun = time.monotonic()
        self.commit(child)
        wait_for("rfmd to read everything", lambda: self.read_to(ends), 600, 0.03, self.rfmd.log_tail)
        wall_s = time.monotonic() - begun
        wait_for("Redis to have everything", lambda: self.rfmd.metric("rfmd_dirty_bytes") == 0, 60, 0.1)
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        after = self.rfmd.metrics()
        grown = {name: value - stats.get(name, 0) for name, value in after.items()}
        total = lambda prefix: sum(value for name, value in grown.items() if name.split("{")[0] == prefix)  # noqa: E731
        return numbers(events, used["rfmd"], wall_s, peak_kib(self.rfmd.pid), total("rfmd_steps_total"),
                       total("rfmd_redo_bytes_total"), total("rfmd_triggers_total"),
                       broker_us=used["broker"] / events * 1e6, redis_us=used["redis"] / events * 1e6,
                       misses=total("rfmd_cache_misses_total") / events)

    # -- the floor

    def states(self) -> list[bytes]:
        client, found = self.cluster.redis.client(), []
        for key in client.scan_iter(match="rfm:*:c:*", count=1000):
            found.append(key)
            if len(found) == SAMPLES:
                break
        return client.mget(found)

    def triggers(self) -> list:
        """The newest of each partition."""
        ends = topics.end_offsets(self.cluster.broker.address, ["triggers"])
        consumer = Consumer({"bootstrap.servers": self.cluster.broker.address, "group.id": "bench-samples",
                             "enable.auto.commit": False})
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

    def run_floor(self, mix: Mix, events: int, ends: dict) -> dict:
        """The last `events` of the topic; its partitions' beginnings were kept when they were written."""
        offsets = [str(self.begins[mix.topic][mix.topic, number]) for number in range(PARTITIONS)]
        done = subprocess.run([str(self.options.build / "bench_e2e_floor"), self.cluster.broker.address, mix.topic, str(events),
                               str(STEP_EVENTS), self.cluster.redis.socket, str(self.write_samples()), "visit", "floor-wal",
                               "floor-triggers", *offsets], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        got = json.loads(done.stdout)
        return numbers(got["events"], got["cpu_s"], got["wall_s"], got["rss_kib"], got["steps"], got["wal_bytes"],
                       got["triggers"])

    # -- all

    def warm_up(self) -> None:
        """Each client buys once, and is in rfmd's cache from then on."""
        self.run_rfmd(self.mixes[0], self.options.clients, 0)

    def run(self) -> None:
        permille, self.begins = round(self.options.triggers * 10), {}
        self.rfmd.start()
        self.warm_up()
        for turn in range(self.options.repeat):
            for mix in self.mixes:
                floor_first = turn % 2 == 1  # on the events of the turn before
                if floor_first:
                    mix.numbers["floor"].append(self.run_floor(mix, self.options.events, self.ends(mix)))
                self.begins[mix.topic] = self.ends(mix)
                mix.numbers["rfmd"].append(self.run_rfmd(mix, self.options.events, permille))
                if not floor_first:
                    mix.numbers["floor"].append(self.run_floor(mix, self.options.events, self.ends(mix)))
                for program in ("rfmd", "floor"):
                    print(f"  turn {turn + 1}, {mix.name}, {program}: {mix.numbers[program][-1]['us']:.2f} CPU-us an event",
                          file=sys.stderr, flush=True)
        code = self.rfmd.stop()
        assert code == 0, f"rfmd ended with {code}\n{self.rfmd.log_tail()}"


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
        bench = Bench(options, (options.folder or Path(made)) / "bench")
        with bench.cluster:
            bench.run()
        ratio = report(bench)
    return 1 if options.check and ratio > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
