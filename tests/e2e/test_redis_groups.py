"""Redis behind Sentinels and in a Cluster: fail-overs and moving slots lose nothing and repeat nothing."""
import time

import pytest

from harness import wait_for
from harness.redis_group import RedisCluster, SentinelGroup
from harness.story import STORY_RULES, Story

pytestmark = pytest.mark.rfmd


@pytest.fixture
def sentinels(tmp_path):
    group = SentinelGroup(tmp_path / "group")
    yield group
    group.kill()


@pytest.fixture
def redis_cluster(tmp_path):
    group = RedisCluster(tmp_path / "group")
    yield group
    group.kill()


def counted(live, name: str) -> float:
    """A counter, summed over the processes."""
    total = 0.0
    for process in live.processes:
        lines = process.get("/metrics")[1].splitlines()
        total += sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)
    return total


def test_the_master_dies_with_what_only_it_had(cluster, sentinels):
    live = cluster(config={"redis": {"url": sentinels.url}}, redis=sentinels.master, rules=STORY_RULES, processes=2).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    sentinels.hold_copies_back()
    story.tell(0.3)
    live.wait_consumed()
    sender = story.tell(0.2, over_s=3, wait=False)
    time.sleep(1)
    sentinels.master.kill()
    sentinels.replica.resume()
    sentinels.wait_roles()
    story.told(sender)
    wait_for("the loss to be seen", lambda: counted(live, "rfmd_rollbacks_total") > 0, 30, 0.2)
    story.rest().check()


def test_a_forced_fail_over_under_traffic(cluster, sentinels):
    live = cluster(config={"redis": {"url": sentinels.url}}, redis=sentinels.master, rules=STORY_RULES, processes=2).start()
    story = Story(live).tell(0.2)
    sender = story.tell(0.5, over_s=15, wait=False)
    sentinels.fail_over()
    sentinels.wait_roles()  # the old master takes writes until then, and loses them
    story.told(sender)
    for process in live.processes:
        process.wait_ready()
    story.rest().check()


def test_the_sentinels_are_away_while_the_master_serves(cluster, sentinels):
    live = cluster(config={"redis": {"url": sentinels.url}}, redis=sentinels.master, rules=STORY_RULES).start()
    story = Story(live, 1_000, 100).tell(0.3)
    for sentinel in sentinels.sentinels[:2]:
        sentinel.kill()
    story.tell(0.3)
    live.wait_consumed()
    sentinels.master.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    story.rest().check()


def test_a_slot_moves_and_a_node_dies(cluster, redis_cluster):
    nodes = redis_cluster.nodes
    live = cluster(config={"redis": {"url": redis_cluster.url}}, redis=nodes[0], rules=STORY_RULES, processes=2).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    (first, *_), (second, *_) = (redis_cluster.keys_of(node, "rfm:{*}:wal") for node in nodes[:2])
    sender = story.tell(0.5, over_s=10, wait=False)
    assert redis_cluster.move_slot_of(first, nodes[0], nodes[2]) > 10
    assert first in redis_cluster.keys_of(nodes[2], "rfm:{*}:wal")
    time.sleep(1)
    nodes[1].kill()
    wait_for("the replica to take over", lambda: nodes[3].client().info("replication")["role"] == "master", 30, 0.2)
    story.told(sender)
    for process in live.processes:
        process.wait_ready()
    assert second in redis_cluster.keys_of(nodes[3], "rfm:{*}:wal")
    story.rest().check()


def test_a_slot_that_is_being_moved_holds_up_its_partition_alone(cluster, redis_cluster):
    """The step that all partitions of a worker share waited for clients of the one."""
    nodes = redis_cluster.nodes
    live = cluster(config={"redis": {"url": redis_cluster.url}}, redis=nodes[0], rules=STORY_RULES).start()
    story = Story(live, clients=2_000).tell(0.3)
    live.wait_consumed()
    wal = redis_cluster.keys_of(nodes[0], "rfm:{*}:wal")[0]
    redis_cluster.begin_to_move(wal, nodes[0], nodes[2])
    redis_cluster.move_keys(redis_cluster.keys_of(nodes[0], wal.replace(":wal", ":b:*")), nodes[0], nodes[2])
    story.tell(0.2)  # of clients, too, that are not in the cache
    wait_for("the partition to be put aside", lambda: counted(live, "rfmd_stalls_total") > 0, 30)
    story.tell(0.2)
    wait_for("the other partitions", lambda: len({partition for _, partition in live.lag()}) == 1, 60)
    redis_cluster.move_slot_of(wal, nodes[0], nodes[2])
    story.rest().check()
