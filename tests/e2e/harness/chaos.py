"""Things that go wrong, planned by seed: kills, pauses, Redis rolled back or failed over, brokers restarted, their leaders
moved, their disks full, processes that come and go."""
from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import redis

from .cluster import Cluster
from .redis_group import SentinelGroup
from .rfmd import Rfmd
from .waiting import Timeout, wait_for


@dataclass(frozen=True)
class Plan:
    kills: int = 30
    stops: int = 5
    rollbacks: int = 5
    broker_restarts: int = 2
    seed: int = 1
    pause_s: tuple = (0.3, 2.0)  # between two faults
    session_s: float = 6.0       # a pause lasts longer than this
    swaps: int = 0               # Redis rolled back under the connections of an owner whose cache is still cold
    rebalances: int = 0          # a process more or less
    failovers: int = 0           # of Redis, by Sentinels
    leader_moves: int = 0        # these need several brokers, each time of half the partitions
    rolls: int = 0               # all brokers restarted, one after the other
    full_disks: int = 0          # of one broker

    def kinds(self) -> list[str]:
        counts = {"kill": self.kills, "stop": self.stops, "rollback": self.rollbacks, "broker": self.broker_restarts,
                  "swap": self.swaps, "rebalance": self.rebalances, "failover": self.failovers, "leaders": self.leader_moves,
                  "roll": self.rolls, "disk": self.full_disks}
        return [kind for kind, count in counts.items() for _ in range(count)]


@dataclass
class Step:
    after_s: float
    kind: str
    choice: dict


def planned(plan: Plan) -> list[Step]:
    rng = random.Random(plan.seed)
    kinds = plan.kinds()
    rng.shuffle(kinds)
    return [Step(rng.uniform(*plan.pause_s), kind, _CHOICES[kind](rng, plan)) for kind in kinds]


def _kill(rng: random.Random, plan: Plan) -> dict:
    return {"process": rng.random(), "all": rng.random() < 0.15, "down_s": rng.choice((0, 0, 0.3, 1.0)),
            "recover": rng.random() < 0.4}


def _stop(rng: random.Random, plan: Plan) -> dict:
    return {"process": rng.random(), "for_s": plan.session_s + rng.uniform(0.5, 2.5)}


def _rollback(rng: random.Random, plan: Plan) -> dict:
    return {"process": rng.random(), "kill_owner": rng.random() < 0.4, "age_s": rng.uniform(0.5, 8),
            "down_s": rng.choice((0, 0.5, 2.0)), "in_place": rng.random() < 0.4}


def _swap(rng: random.Random, plan: Plan) -> dict:
    return {"process": rng.random(), "age_s": rng.uniform(1.5, 8), "wait_s": rng.uniform(0, 0.3)}


def _broker(rng: random.Random, plan: Plan) -> dict:
    return {"kill": rng.random() < 0.5, "down_s": rng.choice((0, 1.0, 3.0)), "pause_s": rng.choice((0, 0, 2.0, 7.0)),
            "node": rng.random()}


def _rebalance(rng: random.Random, plan: Plan) -> dict:
    return {"process": rng.random(), "settle": rng.random() < 0.7}


def _failover(rng: random.Random, plan: Plan) -> dict:
    return {"forced": rng.random() < 0.4, "held_s": rng.uniform(0.2, 2.0)}


def _leaders(rng: random.Random, plan: Plan) -> dict:
    return {"seed": rng.randrange(1 << 30)}


def _roll(rng: random.Random, plan: Plan) -> dict:
    return {}


def _disk(rng: random.Random, plan: Plan) -> dict:
    return {"node": rng.random(), "for_s": rng.uniform(4, 12)}


_CHOICES = {"kill": _kill, "stop": _stop, "rollback": _rollback, "broker": _broker, "swap": _swap, "rebalance": _rebalance,
            "failover": _failover, "leaders": _leaders, "roll": _roll, "disk": _disk}


def expected_s(steps: list[Step]) -> float:
    """About how long the plan takes, so that the traffic can be spread over it."""
    cost = {"kill": 1.5, "stop": 0.3, "rollback": 0.8, "broker": 4.0, "swap": 3.0, "rebalance": 1.5, "failover": 6.0,
            "leaders": 0.5, "roll": 25.0, "disk": 3.0}
    lengths = ("for_s", "down_s", "pause_s", "held_s")
    return sum(step.after_s + cost[step.kind] + sum(step.choice.get(name, 0) for name in lengths) for step in steps)


@dataclass
class Chaos:
    cluster: Cluster
    plan: Plan
    sentinels: SentinelGroup | None = None
    died: list[str] = field(default_factory=list)
    survived: Counter = field(default_factory=Counter)
    killed_at: list[float] = field(default_factory=list)  # as parts of the time that all of it was to take

    def __post_init__(self):
        self.guests = self.cluster.processes[1:] if self.plan.rebalances else []  # who may come and go
        self._away: list[Rfmd] = []
        self.steps = planned(self.plan)
        self._begin = time.monotonic()
        self._redis_lock = threading.Lock()
        self._snapshots_end = threading.Event()
        self._recoveries = random.Random(self.plan.seed + 1)

    def run(self) -> None:
        self._begin = time.monotonic()
        snapshots = threading.Thread(target=self._keep_snapshots, daemon=True)
        if self.plan.rollbacks or self.plan.swaps:
            snapshots.start()
        try:
            for step in self.steps:
                time.sleep(step.after_s)
                self._note(f"{step.kind} {step.choice}")
                getattr(self, "_do_" + step.kind)(step.choice)
                self.survived[step.kind] += 1
                self._revive()
        finally:
            self._snapshots_end.set()
            if snapshots.is_alive():
                snapshots.join(30)
        for process in self.cluster.processes:
            process.resume()
        while self._away:
            self._away.pop().start(wait=False)

    def blanks(self, assignments: int) -> list[str]:
        """What was to strike and hit nothing: a run that did nothing must not be green."""
        found = []
        if self.plan.leader_moves >= 10 and self.survived["coordinators moved"] == 0:
            found.append("no coordinator of the group or of transactions moved")
        if self.plan.full_disks > 0 and self.survived["gave up on a full disk"] == 0:
            found.append("no broker gave up on a full disk")
        if assignments < self.plan.rebalances:
            found.append(f"{self.plan.rebalances} processes came or went, but there were {assignments} assignments")
        return found

    # -- faults

    def _do_kill(self, choice: dict) -> None:
        victims = self._present() if choice["all"] else [self._process(choice)]
        for process in victims:
            process.kill()
        self.killed_at.append(min((time.monotonic() - self._begin) / expected_s(self.steps), 1.0))
        time.sleep(choice["down_s"])
        for process in victims:
            process.start(wait=False)
        if choice["recover"]:
            self._let_recover()

    def _do_stop(self, choice: dict) -> None:
        process = self._process(choice)
        process.pause()
        time.sleep(choice["for_s"])
        process.resume()

    def _do_rollback(self, choice: dict) -> None:
        with self._redis_lock:
            server = self.cluster.redis
            old = self._snapshots_before(choice)
            owner = self._process(choice)
            if choice["kill_owner"]:
                owner.kill()
            if choice["in_place"] and old:
                server.swap(old[-1])
            else:
                server.roll_back(old[-1] if old else None, choice["down_s"])
            if choice["kill_owner"]:
                owner.start(wait=False)

    def _do_swap(self, choice: dict) -> None:
        owner = self._process(choice)
        owner.kill()
        owner.start(wait=False)
        self._let_recover()
        time.sleep(choice["wait_s"])
        with self._redis_lock:
            old = self._snapshots_before(choice)
            if old:
                self.cluster.redis.swap(old[-1])

    def _do_broker(self, choice: dict) -> None:
        nodes = self.cluster.broker.nodes
        node = nodes[int(choice["node"] * len(nodes))]
        if choice["pause_s"] and len(nodes) > 1:  # a leader who does not know that another has followed
            node.pause()
            time.sleep(choice["pause_s"])
            node.resume()
            return
        node.kill() if choice["kill"] else node.stop()
        time.sleep(choice["down_s"])
        node.start()

    def _do_rebalance(self, choice: dict) -> None:
        guest = self.guests[int(choice["process"] * len(self.guests))]
        if guest in self._away:
            self._away.remove(guest)
            guest.start(wait=False)
        else:
            self._leave(guest)
            self._away.append(guest)
        if choice["settle"]:
            self._let_recover()

    def _leave(self, guest: Rfmd) -> None:
        try:
            code = guest.stop()
        except AssertionError as error:
            code = str(error)
            guest.kill()
        too_soon = code == -signal.SIGTERM and guest.is_silent  # before it could know of signals
        if code != 0 and not too_soon:
            self.died.append(f"{guest.name} ended with {code} on SIGTERM\n{guest.log_tail(15)}")

    def _do_failover(self, choice: dict) -> None:
        self.sentinels.switch() if choice["forced"] else self.sentinels.lose_master(choice["held_s"])
        self.cluster.redis = self.sentinels.master

    def _do_leaders(self, choice: dict) -> None:
        moved = self.cluster.broker.move_leaders(random.Random(choice["seed"]))
        self.survived["leaders moved"] += len(moved)
        self.survived["coordinators moved"] += sum(topic.startswith("__") for topic, _ in moved)

    def _do_roll(self, choice: dict) -> None:
        self.cluster.broker.roll()

    def _do_disk(self, choice: dict) -> None:
        nodes = self.cluster.broker.nodes
        self.survived["gave up on a full disk"] += self.cluster.broker.fill_disk(nodes[int(choice["node"] * len(nodes))],
                                                                                choice["for_s"])

    # -- around them

    def _snapshots_before(self, choice: dict) -> list:
        snapshots = self.cluster.redis.snapshots
        wanted = time.monotonic() - choice["age_s"]
        return [path for at, path in snapshots if at <= wanted] or [path for _, path in snapshots[:1]]

    def _present(self) -> list[Rfmd]:
        return [process for process in self.cluster.processes if process not in self._away]

    def _process(self, choice: dict) -> Rfmd:
        present = self._present()
        return present[int(choice["process"] * len(present))]

    def _let_recover(self, timeout_s: float = 10) -> None:
        """Time to take over; that it takes longer is not a fault here."""
        try:
            wait_for("all to be ready", lambda: all(process.ready for process in self._present()), timeout_s, 0.1)
        except Timeout:
            self._note("not ready in time")

    def _revive(self) -> None:
        """A process that ended by itself is noted, and started again; a broker too, but that is no fault of ours."""
        for process in self._present():
            if not process.running:
                self.died.append(f"{process.name} ended by itself with {process.child.returncode}\n{process.log_tail(15)}")
                self._note(self.died[-1].splitlines()[0])
                process.start(wait=False)
        for node in self.cluster.broker.nodes:
            if not node.running:
                self._note(f"{node.name} ended by itself with {node.child.returncode}")
                node.start()

    def _keep_snapshots(self) -> None:
        while not self._snapshots_end.wait(1.2):
            with self._redis_lock:
                try:
                    self.cluster.redis.snapshot()
                except (redis.RedisError, OSError) as error:
                    self._note(f"no snapshot: {error}")

    def _note(self, text: str) -> None:
        with open(self.cluster.folder / "journal.txt", "a") as journal:
            print(f"{time.monotonic() - self._begin:8.2f} {text}", file=journal)
