"""Apache Kafka in KRaft combined mode: one process is broker and controller."""
from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from .process import Process, free_port
from .waiting import wait_for

HERE = Path(__file__).resolve().parent
JVM = ["-Xms192m", "-Xmx448m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
       "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
SETTINGS = {
    "process.roles": "broker,controller", "node.id": 1, "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT", "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4, "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1, "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000, "num.network.threads": 2, "num.io.threads": 4,
    # After a kill the controller waits for the old session's end before it takes the broker back (9 s by default).
    "broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 400,
    # Records carry timestamps of the events' own time: none is too old to keep.
    "log.retention.ms": -1, "log.cleaner.dedupe.buffer.size": 8388608,
}


def jars() -> Path:
    """The folder of Kafka's jars; fetched once."""
    given = os.environ.get("RFMD_KAFKA_JARS")
    if given:
        return Path(given)
    output = subprocess.run([str(HERE.parent / "install-kafka.sh")], check=True, capture_output=True, text=True)
    return Path(output.stdout.strip().splitlines()[-1])


class KafkaBroker(Process):
    """`proxied`: whoever comes by its second port is sent on to this one, where a proxy listens."""

    def __init__(self, folder: Path, settings: dict | None = None, proxied: int | None = None):
        self.folder = folder / "kafka"
        self.folder.mkdir(parents=True)
        super().__init__("kafka", self.folder / "broker.log")
        self.port, self.controller_port = free_port(), free_port()
        self.proxied, self.second_port = proxied, free_port() if proxied else None
        self.settings = {**SETTINGS, **(settings or {})}
        self._classpath = f"{jars()}/*"
        self._write_properties()
        self._format()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "socket.timeout.ms": 10_000,
                            "log_level": 0})

    def _write_properties(self) -> None:
        settings, listeners = dict(self.settings), f"PLAINTEXT://127.0.0.1:{self.port}"
        advertised = listeners
        if self.proxied:
            settings["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
            listeners += f",PROXIED://127.0.0.1:{self.second_port}"
            advertised += f",PROXIED://127.0.0.1:{self.proxied}"
        lines = [f"{name}={value}" for name, value in settings.items()]
        lines += [f"listeners={listeners},CONTROLLER://127.0.0.1:{self.controller_port}",
                  f"advertised.listeners={advertised}",
                  f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}", f"log.dirs={self.folder / 'data'}"]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n")

    def _java(self, main: str, *arguments: str) -> list[str]:
        return ["java", *JVM, "-cp", self._classpath, main, *arguments]

    def _format(self) -> None:
        command = self._java("kafka.tools.StorageTool", "format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg",
                             "--config", str(self.folder / "server.properties"))
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"kafka storage format: {done.stdout}{done.stderr}"

    def start(self, wait: bool = True) -> "KafkaBroker":
        self.spawn(self._java("kafka.Kafka", str(self.folder / "server.properties")), cwd=self.folder)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s: float = 60) -> None:
        def answers():
            assert self.running, self.log_tail()
            try:
                return bool(self.admin().list_topics(timeout=2).brokers)
            except KafkaException:
                return False

        wait_for("the broker", answers, timeout_s, 0.1, self.log_tail)

    def stop(self, timeout_s: float = 30) -> None:
        self.resume()
        self.send(signal.SIGTERM)
        try:
            self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def create_topics(self, partitions: int, *names: str, config: dict | None = None) -> None:
        topics = [NewTopic(name, partitions, 1, config=config or {}) for name in names]
        admin = self.admin()  # its futures live no longer than it does
        for future in admin.create_topics(topics, operation_timeout=20).values():
            future.result(30)
        wait_for("the topics", lambda: self._all_led(partitions, names), 20)

    def _all_led(self, partitions: int, names) -> bool:
        known = self.admin().list_topics(timeout=5).topics
        return all(name in known and len(known[name].partitions) == partitions
                   and all(part.leader == 1 for part in known[name].partitions.values()) for name in names)
