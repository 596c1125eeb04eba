"""Things that go wrong, planned by seed: kills, pauses, Redis rolled back, brokers restarted."""
from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

import redis

from .cluster import Cluster
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


@dataclass
class Step:
    after_s: float
    kind: str
    choice: dict


def planned(plan: Plan) -> list[Step]:
    rng = random.Random(plan.seed)
    kinds = (["kill"] * plan.kills + ["stop"] * plan.stops + ["rollback"] * plan.rollbacks
             + ["broker"] * plan.broker_restarts + ["swap"] * plan.swaps)
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
    return {"kill": rng.random() < 0.5, "down_s": rng.choice((0, 1.0, 3.0))}


_CHOICES = {"kill": _kill, "stop": _stop, "rollback": _rollback, "broker": _broker, "swap": _swap}


def expected_s(steps: list[Step]) -> float:
    """About how long the plan takes, so that the traffic can be spread over it."""
    cost = {"kill": 1.5, "stop": 0.3, "rollback": 0.8, "broker": 4.0, "swap": 3.0}
    return sum(step.after_s + cost[step.kind] + step.choice.get("for_s", 0) + step.choice.get("down_s", 0)
               for step in steps)


@dataclass
class Chaos:
    cluster: Cluster
    plan: Plan
    journal: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)  # as parts of the time that all of it was to take

    def __post_init__(self):
        self.steps = planned(self.plan)
        self._begin = time.monotonic()
        self._redis_lock = threading.Lock()
        self._snapshots_end = threading.Event()
        self._recoveries = random.Random(self.plan.seed + 1)

    def run(self) -> None:
        self._begin = time.monotonic()
        snapshots = threading.Thread(target=self._keep_snapshots, daemon=True)
        snapshots.start()
        try:
            for step in self.steps:
                time.sleep(step.after_s)
                self._note(f"{step.kind} {step.choice}")
                getattr(self, "_do_" + step.kind)(step.choice)
                self._revive()
        finally:
            self._snapshots_end.set()
            snapshots.join(30)
        for process in self.cluster.processes:
            process.resume()

    # -- faults

    def _do_kill(self, choice: dict) -> None:
        victims = self.cluster.processes if choice["all"] else [self._process(choice)]
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
        broker = self.cluster.broker
        broker.kill() if choice["kill"] else broker.stop()
        time.sleep(choice["down_s"])
        broker.start()

    # -- around them

    def _snapshots_before(self, choice: dict) -> list:
        snapshots = self.cluster.redis.snapshots
        wanted = time.monotonic() - choice["age_s"]
        return [path for at, path in snapshots if at <= wanted] or [path for _, path in snapshots[:1]]

    def _process(self, choice: dict):
        return self.cluster.processes[int(choice["process"] * len(self.cluster.processes))]

    def _let_recover(self, timeout_s: float = 10) -> None:
        """Time to take over; that it takes longer is not a fault here."""
        try:
            wait_for("all to be ready", lambda: all(process.ready for process in self.cluster.processes), timeout_s, 0.1)
        except Timeout:
            self._note("not ready in time")

    def _revive(self) -> None:
        """A process that ended by itself is noted, and started again."""
        for process in self.cluster.processes:
            if not process.running:
                self.died.append(f"{process.name} ended by itself with {process.child.returncode}\n{process.log_tail(15)}")
                self._note(self.died[-1].splitlines()[0])
                process.start(wait=False)

    def _keep_snapshots(self) -> None:
        while not self._snapshots_end.wait(1.2):
            with self._redis_lock:
                try:
                    self.cluster.redis.snapshot()
                except (redis.RedisError, OSError) as error:
                    self._note(f"no snapshot: {error}")

    def _note(self, text: str) -> None:
        self.journal.append(f"{time.monotonic() - self._begin:8.2f} {text}")
