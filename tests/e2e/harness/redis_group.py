"""Several Redis servers that belong together: a master with its replica and Sentinels, or a Cluster."""
from __future__ import annotations

import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .process import Process, free_port
from .redis_server import RedisServer
from .waiting import wait_for

QUICK_SYNC = {"repl-diskless-sync-delay": 0}
MASTER = "mymaster"


def ask(port: int, *words) -> object:
    with redis.Redis(port=port, socket_timeout=10, retry=Retry(NoBackoff(), 0), decode_responses=True) as client:
        return client.execute_command(*words)


class Sentinel(Process):
    def __init__(self, folder: Path, watched: RedisServer, quorum: int, down_after_ms: int):
        super().__init__("sentinel", folder / "sentinel.log")
        folder.mkdir(parents=True)
        self.port, self._config = free_port(), folder / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor {MASTER} 127.0.0.1 {watched.port} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} {down_after_ms}\nsentinel failover-timeout {MASTER} 2000\n")

    def start(self) -> "Sentinel":
        self.spawn(["redis-server", str(self._config), "--sentinel"])
        return self

    def master(self) -> dict:
        answer = ask(self.port, "SENTINEL", "MASTER", MASTER)
        return answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2]))


class SentinelGroup:
    def __init__(self, folder: Path, sentinels: int = 3, down_after_ms: int = 500):
        self.master = RedisServer(folder / "a", **QUICK_SYNC).start()
        self.replica = RedisServer(folder / "b", replicaof=f"127.0.0.1 {self.master.port}", **QUICK_SYNC).start()
        wait_for("the replica's copy", lambda: self.replica.client().info("replication")["master_link_status"] == "up", 20)
        self.sentinels = [Sentinel(folder / f"s{i}", self.master, sentinels // 2 + 1, down_after_ms).start()
                          for i in range(sentinels)]
        self.processes = [self.master, self.replica, *self.sentinels]
        wait_for("the Sentinels to know each other", lambda: all(self._knows(sentinel) for sentinel in self.sentinels), 30)

    def _knows(self, sentinel: Sentinel) -> bool:
        try:
            known = sentinel.master()
        except redis.ConnectionError:
            return False
        return (int(known["num-slaves"]), int(known["num-other-sentinels"])) == (1, len(self.sentinels) - 1)

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels) + f"/{MASTER}/0"

    def role(self, server: RedisServer) -> str:
        try:
            return server.client().info("replication")["role"]
        except redis.ConnectionError:
            return "away"

    def fail_over(self) -> None:
        """Forced, with the master alive; it is told only seconds later, and takes writes meanwhile."""
        def accepted():
            try:
                return ask(self.sentinels[0].port, "SENTINEL", "FAILOVER", MASTER) in ("OK", True)
            except redis.ResponseError:  # no replica that is known well enough yet
                return False

        wait_for("the fail-over to begin", accepted, 30)

    def wait_roles(self, timeout_s: float = 60) -> None:
        """The replica is the master; the master its replica, or dead."""
        wait_for("the fail-over", lambda: self.role(self.replica) == "master" and self.role(self.master) != "master",
                 timeout_s, 0.1)

    def hold_copies_back(self) -> None:
        """From now on the master's writes are its own alone."""
        self.replica.pause()
        self.master.client().execute_command("CLIENT", "KILL", "TYPE", "replica")

    # -- whole fail-overs, after which the new master has a replica that has caught up

    def switch(self) -> None:
        """Forced: what the old master takes until it is told is lost."""
        self.fail_over()
        self.wait_roles()
        self._exchange()

    def lose_master(self, alone_s: float) -> None:
        """The master dies with what only it had, and comes back as a replica, empty."""
        self.hold_copies_back()
        time.sleep(alone_s)
        self.master.kill()
        self.replica.resume()
        self.wait_roles()
        self.master.settings["replicaof"] = f"127.0.0.1 {self.replica.port}"
        self.master.start(wait=False)
        self._exchange()

    def _exchange(self) -> None:
        self.master, self.replica = self.replica, self.master
        self.master.settings.pop("replicaof", None)
        wait_for("the replica to follow", self._follows, 60, 0.1, self.replica.log_tail)
        wait_for("the Sentinels to see it", lambda: all(self._sees_pair(sentinel) for sentinel in self.sentinels), 60, 0.1)

    def _follows(self) -> bool:
        try:
            found = self.replica.client().info("replication")
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False
        return (found.get("master_port"), found.get("master_link_status")) == (self.master.port, "up")

    def _sees_pair(self, sentinel: Sentinel) -> bool:
        known = sentinel.master()
        slaves = ask(sentinel.port, "SENTINEL", "REPLICAS", MASTER)
        found = [one if isinstance(one, dict) else dict(zip(one[::2], one[1::2])) for one in slaves]
        return (int(known["port"]) == self.master.port and "failover" not in str(known["flags"])
                and any(int(one["port"]) == self.replica.port and "down" not in str(one["flags"]) for one in found))

    def kill(self) -> None:
        for process in self.processes:
            process.kill()


class RedisCluster:
    """Three masters that share the slots, and a replica of the second."""

    def __init__(self, folder: Path):
        self.nodes = []
        for i in range(4):
            settings = {"cluster-enabled": "yes", "cluster-port": free_port(), "cluster-node-timeout": 1000, **QUICK_SYNC}
            self.nodes.append(RedisServer(folder / f"n{i}", **settings).start())
        for node in self.nodes[1:]:
            ask(self.nodes[0].port, "CLUSTER", "MEET", "127.0.0.1", node.port, node.settings["cluster-port"])
        for node, (first, last) in zip(self.nodes, ((0, 5460), (5461, 10922), (10923, 16383))):
            ask(node.port, "CLUSTER", "ADDSLOTSRANGE", first, last)
        second = self.node_id(self.nodes[1])
        wait_for("the nodes to know each other", lambda: second in str(ask(self.nodes[3].port, "CLUSTER", "NODES")), 20)
        ask(self.nodes[3].port, "CLUSTER", "REPLICATE", second)
        wait_for("the cluster", lambda: all(self._well(node) for node in self.nodes), 30)

    @staticmethod
    def node_id(node: RedisServer) -> str:
        return ask(node.port, "CLUSTER", "MYID")

    def _well(self, node: RedisServer) -> bool:
        info = str(ask(node.port, "CLUSTER", "INFO"))
        link = node.client().info("replication").get("master_link_status", "up")
        return ("cluster_state:ok" in info or "'cluster_state': 'ok'" in info) and link == "up"

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in reversed(self.nodes))

    def keys_of(self, node: RedisServer, pattern: str) -> list[str]:
        return [key.decode() for key in node.client().scan_iter(pattern, 1000)]

    def move_slot_of(self, key: str, source: RedisServer, target: RedisServer) -> int:
        """As `redis-cli --cluster reshard` does it; returns how many keys went."""
        slot = self.begin_to_move(key, source, target)
        moved = 0
        while keys := ask(source.port, "CLUSTER", "GETKEYSINSLOT", slot, 20):
            self.move_keys(keys, source, target)
            moved += len(keys)
        for node in (target, source):
            ask(node.port, "CLUSTER", "SETSLOT", slot, "NODE", self.node_id(target))
        return moved

    def begin_to_move(self, key: str, source: RedisServer, target: RedisServer) -> int:
        """Returns the slot."""
        slot = ask(source.port, "CLUSTER", "KEYSLOT", key)
        ask(target.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.node_id(source))
        ask(source.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.node_id(target))
        return slot

    @staticmethod
    def move_keys(keys: list, source: RedisServer, target: RedisServer) -> None:
        ask(source.port, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
