"""A rolling upgrade under load: two programs in one group, then a step back; what came out beside what should have."""
from __future__ import annotations

import random
import time
from pathlib import Path

from reference.scores import Settings
from reference.world import World

from .cluster import Cluster
from .fire import (WALL_RULES, Sender, Verdict, _finish, _heal_after_a_last_rollback, _wait_for_due, by_partition,
                   compare_dead_letters, compare_states, compare_triggers, drain)
from .rfmd import Rfmd, merged
from .traffic import Shape, Traffic

SESSION_S = 6
REFUSAL = "meta says format="  # what a program says that must not touch a state which a newer one has made


class Upgrade:
    """What is done to the processes of a cluster while it works."""

    def __init__(self, cluster: Cluster, old: Path, new: Path, seed: int, verdict: Verdict, say):
        self.cluster, self.old, self.new, self.verdict, self.say = cluster, old, new, verdict, say
        self.rng = random.Random(seed)
        self.refusals = 0

    def run(self) -> None:
        for process in self.cluster.processes:
            self._pause()
            self.cluster.redis.snapshot()
            self._replace(process, self.new)
            self._look()
        self._kill_one()
        self._roll_back_to_the_old_days()
        self._go_back()
        self._pause()
        self._all_ready()

    def _pause(self) -> None:
        time.sleep(self.rng.uniform(1.5, 4))

    def _replace(self, process: Rfmd, program: Path) -> None:
        if process.running:
            code = process.stop()
            if code != 0 and not self._refused(process):
                self.verdict.died.append(f"{process.name} ended with {code} on SIGTERM\n{process.log_tail()}")
        process.program = program
        begin = time.monotonic()
        process.start(wait=False)
        self._wait_ready(process)
        self.say(f"{process.name} is {program}, ready after {time.monotonic() - begin:.1f} s")

    def _refused(self, process: Rfmd) -> bool:
        """Whether it has ended, with 3, because the state is too new for it; anything else is a death."""
        if process.running or process.child.returncode == -9:
            return False
        refused = process.child.returncode == 3 and REFUSAL in process.log_tail(15)
        if not refused:
            self.verdict.died.append(f"{process.name} ended with {process.child.returncode}\n{process.log_tail(15)}")
        self.refusals += refused
        return refused

    def _look(self) -> None:
        """One of the old program may find the state too new; whoever looks after it starts it again, once."""
        for process in self.cluster.processes:
            if process.program == self.old and not process.running and self._refused(process):
                self.say(f"{process.name} has refused, and is started again")
                process.start(wait=False)

    def _wait_ready(self, process: Rfmd) -> None:
        try:
            process.wait_ready(60)
        except AssertionError as error:
            self.verdict.other.append(f"after a replacement: {error}")

    def _all_ready(self) -> None:
        for process in self.cluster.processes:
            self._wait_ready(process)

    def _kill_one(self) -> None:
        self._pause()
        victim = self.rng.choice(self.cluster.processes)
        self.say(f"kill -9 of {victim.name}")
        victim.kill()
        victim.start(wait=False)
        self._all_ready()

    def _roll_back_to_the_old_days(self) -> None:
        """Redis as it was while only the old program had run: the new one reads the WAL of both."""
        self._pause()
        self.say("Redis goes back to what it held when only the old program had run")
        self.cluster.redis.roll_back(self.cluster.redis.snapshots[0][1])
        self._all_ready()

    def _go_back(self) -> None:
        """The old program in the place of a new one: it works, or says why not and leaves the others in peace."""
        self._pause()
        first = self.cluster.processes[0]
        first.stop()
        first.program = self.old
        first.start(wait=False)
        deadline = time.monotonic() + 30
        while first.running and not first.ready and time.monotonic() < deadline:
            time.sleep(0.1)
        if first.running:
            self._wait_ready(first)
            self.say("the old program works again in the group; all go back, and forth again")
            for program in (self.old, self.new):
                for process in self.cluster.processes:
                    if process.program != program:
                        self._pause()
                        self._replace(process, program)
        elif self._refused(first):
            self.say("the old program refuses: " + _refusal(first))
            first.program = self.new
            first.start(wait=False)
            self._all_ready()


def _refusal(process: Rfmd) -> str:
    return next(line for line in reversed(process.log_text().splitlines()) if REFUSAL in line)


def rolling(folder: Path, old: Path, new: Path, events: int = 30_000, clients: int = 3_000, seed: int = 1,
            processes: int = 3, partitions: int = 4, over_s: float = 75, say=lambda text: None) -> Verdict:
    verdict, settings = Verdict(), Settings()
    now_ms = int(time.time() * 1000)
    messages = Traffic(Shape(events=events, clients=clients, seed=seed, end_ms=now_ms, partitions=partitions)).messages()
    # A cache that does not hold all clients: they are evicted and loaded all the time.
    config = {"kafka": {"consumer": {"session.timeout.ms": str(SESSION_S * 1000)}}, "engine": {"cache_bytes_max": "1MiB"}}
    with Cluster(folder, processes, partitions, WALL_RULES, merged(config)) as cluster:
        for process in cluster.processes:
            process.program = old
        cluster.start()
        sender = Sender(cluster, messages, over_s)
        sender.start()
        upgrade = Upgrade(cluster, old, new, seed, verdict, say)
        upgrade.run()
        positions = sender.finish(over_s + 300)
        world = World(settings, WALL_RULES)
        for message, (topic, partition, offset, append_ms) in by_partition(messages, positions):
            world.record(topic, partition, offset, partitions, append_ms, message.key.encode(), message.value)
        world.advance(2**60)
        say("the reference is done")
        _wait_for_due(cluster, verdict, len(world.sent))
        drain(cluster, verdict, 180)
        as_of = int(time.time() * 1000)
        compare_states(verdict, world, cluster.clients(as_of), as_of)
        _heal_after_a_last_rollback(cluster, verdict, world, as_of, has_replica=False)
        compare_triggers(verdict, world, cluster.triggers())
        compare_dead_letters(verdict, world, cluster.dead_letters())
        _finish(verdict, cluster, None, events, len(world.sent), len(world.dead_letters))
        verdict.counts["refusals"] = upgrade.refusals
    return verdict
