"""Traffic sent in chapters, with the whole of it compared at the end: the body of a bad day."""
from __future__ import annotations

import time

from reference.scores import Settings
from reference.world import World

from . import topics
from .cluster import Cluster
from .fire import TRANSACTIONAL, Sender, Verdict, by_partition, compare_dead_letters, compare_states, compare_triggers
from .traffic import Message, Shape, Traffic
from .waiting import wait_for

# Two rules whose triggers do not depend on when an event is read.
STORY_RULES = [
    {"name": "thank_you", "on": {"event": "purchase"}, **TRANSACTIONAL},
    {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, **TRANSACTIONAL},
]


class Story:
    def __init__(self, cluster: Cluster, events: int = 3_000, clients: int = 300, seed: int = 5):
        self.cluster = cluster
        shape = Shape(events=events, clients=clients, seed=seed, end_ms=int(time.time() * 1000), partitions=cluster.partitions)
        topic_of = dict(zip(("purchases", "visits", "messages"), cluster.inputs))
        self._all = [Message(topic_of[message.topic], message.key, message.value, message.moment_ms, message.partition,
                             message.kind) for message in Traffic(shape).messages()]
        self._told: list[tuple] = []

    def tell(self, share: float = 1.0, over_s: float = 0.0, wait: bool = True) -> "Story | Sender":
        """Sends the next share of the whole; `wait` False: returns the sender, to be handed to `told`."""
        at = len(self._told)
        chapter = self._all[at : at + max(int(share * len(self._all)), 1)]
        sender = Sender(self.cluster, chapter, over_s)
        sender.start()
        if not wait:
            return sender
        return self.told(sender)

    def told(self, sender: Sender) -> "Story":
        self._told += zip(sender.messages, sender.finish(300))
        return self

    def tell_until(self, enough, over_s: float, meanwhile) -> "Story":
        """Sends a quarter of the whole over `over_s`, and goes on at that rate until `enough()`: how soon what is to happen has
        happened depends on how busy the machine is. `meanwhile()` is called all along."""
        share, share_s = 0.25, over_s
        while len(self._told) < len(self._all):
            sender = self.tell(share, share_s, wait=False)
            while sender.is_alive():
                sender.join(0.1)
                meanwhile()
            self.told(sender)
            if enough():
                return self
            share, share_s = 0.05, over_s / 5
        raise AssertionError(f"not enough has happened in {4 * over_s:g} s")

    def rest(self) -> "Story":
        """Everything that has not been told yet."""
        return self.tell(1.0) if len(self._told) < len(self._all) else self

    def world(self) -> World:
        world = World(Settings(), STORY_RULES)
        for message, (topic, partition, offset, append_ms) in by_partition(*zip(*self._told)):
            world.record(topic, partition, offset, self.cluster.partitions, append_ms, message.key.encode(), message.value)
        return world

    def check(self, timeout_s: float = 60) -> None:
        """All of it consumed and stopped by SIGTERM: states, triggers and dead letters are those of the reference.

        Who died within a transaction and had nothing to publish since has left it open: until the broker ends it, readers of
        committed records see nothing behind it."""
        self.cluster.settle(timeout_s)
        wait_for("the transactions of the dead to end",
                 lambda: topics.no_transaction_open(self.cluster.broker.address, self.cluster.outputs), 40)
        world, verdict, as_of = self.world(), Verdict(), int(time.time() * 1000)
        compare_states(verdict, world, self.cluster.clients(as_of), as_of)
        compare_triggers(verdict, world, self.cluster.triggers())
        compare_dead_letters(verdict, world, self.cluster.dead_letters())
        assert verdict.good, verdict.details()
