"""Broker, Redis and rfmd processes that belong together."""
from __future__ import annotations

import json
from pathlib import Path

from confluent_kafka import KafkaException

from . import topics
from .broker import Brokers, KafkaBroker
from .redis_server import RedisServer
from .rfmd import Rfmd, base_config, client_all, merged, write_config
from .waiting import Timeout, wait_for


class Cluster:
    def __init__(self, folder: Path, processes: int = 1, partitions: int = 4, rules=None, config: dict | None = None,
                 model: dict | None = None, broker: Brokers | None = None, redis: RedisServer | None = None,
                 static: bool = False, trigger_topics: tuple = ("triggers",), unix_socket: bool = True):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.partitions, self.static = folder, partitions, static
        self._own_broker = broker is None
        self.broker = broker or KafkaBroker(folder)
        self.redis = redis or RedisServer(folder)
        if not self.broker.running:
            self.broker.start()
        if not self.redis.running:
            self.redis.start()
        url = self.redis.unix_url if unix_socket else self.redis.url
        self.config = merged(base_config(folder, rules, model),
                             {"kafka": {"brokers": self.broker.address}, "redis": {"url": url}}, config)
        kafka = self.config["kafka"]
        self.inputs = [entry["topic"] for entry in kafka["inputs"].values()]
        self.trigger_topics = trigger_topics
        self.outputs = [kafka["wal"], kafka["dead_letters"], kafka["audit"], *trigger_topics]
        self.broker.create_topics(partitions, *dict.fromkeys(self.inputs + self.outputs))
        self.config_path = write_config(folder / "rfmd.yaml", self.config)
        self.processes: list[Rfmd] = []
        for _ in range(processes):
            self.add_process()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()
        self.redis.kill()
        if self._own_broker:
            self.broker.kill()

    def add_process(self, **overrides) -> Rfmd:
        name = f"rfmd-{len(self.processes)}"
        process = Rfmd(self.folder, name, merged(self.config, overrides), name if self.static else None)
        self.processes.append(process)
        return process

    @property
    def group(self) -> str:
        return self.config["kafka"]["group"]

    def start(self) -> "Cluster":
        for process in self.processes:
            process.start(wait=False)
        for process in self.processes:
            process.wait_ready()
        return self

    def stop(self) -> None:
        """SIGTERM to all; every one has to end with 0."""
        running = [process for process in self.processes if process.running]
        for process in running:
            process.resume()
            process.terminate()
        for process in running:
            code = process.exit_code(25)
            assert code == 0, f"{process.name} ended with {code} on SIGTERM\n{process.log_tail()}"

    def writer(self, persistent: bool = False, **properties) -> topics.Writer:
        return topics.Writer(self.broker.address, persistent, **properties)

    def lag(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Partitions that are not read to their end: (committed, end)."""
        ends = topics.end_offsets(self.broker.address, self.inputs)
        committed = topics.committed_offsets(self.broker.address, self.group)
        return {part: (committed.get(part, 0), end) for part, end in ends.items() if committed.get(part, 0) < end}

    def wait_consumed(self, timeout_s: float = 60) -> None:
        """Until the group's stable offsets are the ends of all inputs."""
        last: dict = {}

        def consumed():
            nonlocal last
            for process in self.processes:
                assert process.child is None or process.running or process.child.returncode in (0, -9), (
                    f"{process.name} ended with {process.child.returncode}\n{process.log_tail()}")
            try:
                last = self.lag()
            except KafkaException as error:
                last = {"kafka": str(error)}
            return not last

        try:
            wait_for("the inputs to be consumed", consumed, timeout_s, 0.1)
        except Timeout as timeout:
            logs = "\n".join(process.log_tail(25) for process in self.processes)
            raise Timeout(f"{timeout}: still open {last}\n{logs}") from None

    def _timers_due(self) -> float | None:
        """Moments that have come and not been acted on, over all processes; None: somebody does not tell."""
        due, tasks = 0.0, 0.0
        for process in self.processes:
            if not process.running:
                continue
            status, text = process.get("/metrics")
            if status != 200:
                return None
            for line in text.splitlines():
                name, _, value = line.rpartition(" ")
                due += float(value) if name == "rfmd_timers_due" else 0
                tasks += float(value) if name == 'rfmd_tasks{state="consuming"}' else 0
        return due if tasks == self.partitions else None

    def wait_timers(self, timeout_s: float = 60) -> None:
        """Until nothing that is due waits: two reports in a row say so."""
        quiet = 0

        def done():
            nonlocal quiet
            quiet = quiet + 1 if self._timers_due() == 0 else 0
            return quiet >= 2

        wait_for("the timers to fire", done, timeout_s, 0.6)

    def settle(self, timeout_s: float = 60) -> None:
        """Consumed, timers fired, and everything of it in Redis: processes that end on SIGTERM leave nothing in flight."""
        self.wait_consumed(timeout_s)
        if any(process.running for process in self.processes):
            self.wait_timers(timeout_s)
        self.stop()

    def clients(self, as_of=None) -> dict[str, dict]:
        return {client["client_id"]: client for client in client_all(self.config_path, as_of)}

    def read(self, topic: str, **options) -> list[topics.Record]:
        return topics.read_all(self.broker.address, topic, **options)

    def triggers(self) -> list[topics.Record]:
        return [record for topic in self.trigger_topics for record in self.read(topic)]

    def dead_letters(self) -> list[topics.Record]:
        return self.read(self.config["kafka"]["dead_letters"])

    def audit(self) -> list[topics.Record]:
        return self.read(self.config["kafka"]["audit"])

    def wait_triggers(self, count: int, timeout_s: float = 30) -> list[topics.Record]:
        return wait_for(f"{count} triggers", lambda: self._at_least(self.triggers(), count), timeout_s, 0.2,
                        lambda: json.dumps([record.value.decode() for record in self.triggers()][:20]))

    def wait_dead_letters(self, count: int, timeout_s: float = 30) -> list[topics.Record]:
        return wait_for(f"{count} dead letters", lambda: self._at_least(self.dead_letters(), count), timeout_s, 0.2,
                        lambda: "\n".join(process.log_tail(15) for process in self.processes))

    @staticmethod
    def _at_least(records: list, count: int) -> list:
        return records if len(records) >= count else []
