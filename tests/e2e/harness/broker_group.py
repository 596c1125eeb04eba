"""Several Kafka brokers that hold every partition together, and what befalls such a group."""
from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

from confluent_kafka import KafkaException

from .broker import Brokers, KafkaBroker
from .leaders import Refused, elect_preferred, reassign
from .process import free_port
from .waiting import Timeout, wait_for

# A dead one is noticed, and one that lags left behind, within seconds; nobody leads who has not got everything. Leaders move
# when a test moves them.
SETTINGS = {
    "min.insync.replicas": 2, "unclean.leader.election.enable": "false", "auto.leader.rebalance.enable": "false",
    "broker.session.timeout.ms": 6000, "broker.heartbeat.interval.ms": 1000, "replica.lag.time.max.ms": 5000,
    "controller.quorum.fetch.timeout.ms": 4000, "controller.quorum.election.timeout.ms": 2000,
    "transaction.state.log.min.isr": 2, "share.coordinator.state.topic.min.isr": 2,
}
REPLICATED = ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


class Disk:
    """A file system of its own, which can be full. Needs root."""

    ROOM = "4g"

    def __init__(self, folder: Path):
        assert os.geteuid() == 0, "a disk of its own for each broker needs root"
        folder.mkdir(parents=True)
        self.folder = folder
        self._mount("size=" + self.ROOM, "-t", "tmpfs", "tmpfs")

    def _mount(self, options: str, *what: str) -> None:
        subprocess.run(["mount", "-o", options, *what, str(self.folder)], check=True)

    def fill(self, spare: int = 64 << 10) -> None:
        """From now on it takes hardly more than it has."""
        counts = os.statvfs(self.folder)
        used = (counts.f_blocks - counts.f_bfree) * counts.f_frsize
        self._mount(f"remount,size={used + spare}")

    def make_room(self) -> None:
        self._mount("remount,size=" + self.ROOM)

    def release(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=False)


class BrokerGroup(Brokers):
    def __init__(self, folder: Path, count: int, own_disks: bool = False):
        self.replication = count
        settings = {**(SETTINGS if count > 2 else {}), **{f"{name}.replication.factor": count for name in REPLICATED}}
        voters = {node: free_port() for node in range(1, count + 1)}
        self.disks = {node: Disk(folder / f"disk-{node}") for node in voters if own_disks}
        self.nodes = [KafkaBroker(folder / f"node-{node}", settings, node, voters,
                                  self.disks[node].folder / "data" if own_disks else None) for node in voters]

    @property
    def address(self) -> str:
        return ",".join(node.address for node in self.nodes)

    @property
    def running(self) -> bool:
        return any(node.running for node in self.nodes)

    def start(self) -> "BrokerGroup":
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()
        return self

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
        for disk in self.disks.values():
            disk.release()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(node.log_tail(lines) for node in self.nodes)

    # -- what befalls it

    def roll(self) -> None:
        """One after the other is stopped and started, as an upgrade does it: the next when the last has caught up."""
        for node in self.nodes:
            node.stop()
            node.start()
            self.wait_in_sync()

    def fill_disk(self, node: KafkaBroker, for_s: float) -> bool:
        """Returns whether the broker gave up meanwhile; afterwards it runs, with room."""
        disk = self.disks[node.node]
        disk.fill()
        try:
            wait_for("the broker to give up", lambda: not node.running, for_s, 0.1)
        except Timeout:
            pass
        gave_up = not node.running
        node.kill()
        disk.make_room()
        node.start()
        return gave_up

    def move_leaders(self, rng: random.Random, share: float = 0.5) -> list[tuple[str, int]]:
        """Another leader for a share of all partitions, internal topics included; returns those that did move."""
        before = self._leaders()
        wanted = {}
        for part, (leader, replicas, in_sync) in before.items():
            others = [node for node in in_sync if node != leader]
            if others and rng.random() < share:
                first = rng.choice(others)
                wanted[part] = [first, *(node for node in replicas if node != first)]
        try:
            address = next(node for node in self.nodes if node.running).address
            reassign(address, wanted)
            elect_preferred(address, list(wanted))
        except (Refused, OSError, KafkaException):
            return []  # its controller was moving itself
        after = self._leaders()
        return [part for part in wanted if part in after and after[part][0] not in (-1, before[part][0])]

    def _leaders(self) -> dict[tuple[str, int], tuple[int, list[int], list[int]]]:
        known = self.admin().list_topics(timeout=10).topics
        return {(name, number): (part.leader, part.replicas, part.isrs)
                for name, topic in known.items() for number, part in topic.partitions.items()}

    def wait_in_sync(self, timeout_s: float = 40) -> bool:
        """Until everybody has everything; that it takes longer is not a fault here."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if all(len(in_sync) == self.replication for _, _, in_sync in self._leaders().values()):
                    return True
            except KafkaException:
                pass
            time.sleep(0.3)
        return False
