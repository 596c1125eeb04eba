"""The harness itself: what the other tests stand on."""
import os
import random

import numpy as np
import pytest
import redis
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from harness import KafkaBroker, RedisServer, topics, wait_for
from harness.broker_group import BrokerGroup
from harness.slope import slope
from harness.soak import quantile
from reference.partition import partition_of


def test_broker_keeps_its_data_over_a_kill(tmp_path):
    broker = KafkaBroker(tmp_path).start()
    try:
        broker.create_topics(4, "t")
        writer = topics.Writer(broker.address)
        for number in range(200):
            writer.send("t", f"c{number}", {"n": number}, timestamp_ms=1_700_000_000_000 + number)
        for number, (_, partition, _, timestamp_ms) in enumerate(writer.flush()):
            assert partition == partition_of(f"c{number}".encode(), 4)
            assert timestamp_ms == 1_700_000_000_000 + number
        broker.kill()
        broker.start()
        records = topics.read_all(broker.address, "t")
        assert sorted(record.json["n"] for record in records) == list(range(200))
        broker.stop()
        assert not broker.running
    finally:
        broker.kill()


def test_aborted_transactions_are_not_read_and_the_end_is_found(shared_broker):
    shared_broker.create_topics(1, "tx")
    producer = Producer({"bootstrap.servers": shared_broker.address, "transactional.id": "harness", "log_level": 0})
    producer.init_transactions(30)
    for value, commit in (("a", True), ("b", False), ("c", True), ("d", False)):
        producer.begin_transaction()
        producer.produce("tx", value)
        producer.flush(10)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    assert [record.value for record in topics.read_all(shared_broker.address, "tx")] == [b"a", b"c"]
    assert topics.no_transaction_open(shared_broker.address, ["tx"])
    producer.begin_transaction()
    producer.produce("tx", "e")
    producer.flush(10)
    assert not topics.no_transaction_open(shared_broker.address, ["tx"])
    assert [record.value for record in topics.read_all(shared_broker.address, "tx")] == [b"a", b"c"]
    producer.abort_transaction(30)


def test_committed_offsets(shared_broker):
    shared_broker.create_topics(2, "co")
    assert topics.committed_offsets(shared_broker.address, "harness-group") == {}
    consumer = Consumer({"bootstrap.servers": shared_broker.address, "group.id": "harness-group", "log_level": 0})
    consumer.commit(offsets=[TopicPartition("co", 1, 7)], asynchronous=False)
    consumer.close()
    assert topics.committed_offsets(shared_broker.address, "harness-group") == {("co", 1): 7}


def test_redis_rolls_back(redis_server):
    client = redis_server.client()
    client.set("k", 1)
    old = redis_server.snapshot()
    client.set("k", 2)
    redis_server.snapshot()
    redis_server.roll_back(old)
    assert redis_server.client().get("k") == b"1"
    redis_server.roll_back(redis_server.snapshots[-1][1])
    assert redis_server.client().get("k") == b"2"
    redis_server.roll_back(None)
    assert redis_server.client().get("k") is None


def test_redis_pauses_fills_up_and_asks_for_a_password(tmp_path, redis_server):
    redis_server.pause()
    with pytest.raises(redis.TimeoutError):
        redis_server.client(socket_timeout=0.3).ping()
    redis_server.resume()
    redis_server.wait_ready()
    redis_server.config_set(maxmemory="1")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        redis_server.client().set("k", "v")
    guarded = RedisServer(tmp_path / "guarded", password="secret").start()
    with pytest.raises(redis.AuthenticationError):
        guarded.client(password=None).ping()
    guarded.stop()


def test_a_broker_that_is_away_is_seen(tmp_path):
    broker = KafkaBroker(tmp_path).start()
    broker.create_topics(1, "t")
    broker.kill()
    with pytest.raises(KafkaException):
        topics.end_offsets(broker.address, ["t"])
    broker.start()
    assert wait_for("an answer", lambda: topics.end_offsets(broker.address, ["t"]), 10) == {("t", 0): 0}
    broker.kill()


def alike(seed: int, count: int = 60, r: float = 0.7) -> np.ndarray:
    """Values about 0 that do not rise, each like its neighbour."""
    draw, values = np.random.default_rng(seed), np.zeros(count)
    for i in range(1, count):
        values[i] = r * values[i - 1] + draw.normal()
    return values


def test_a_slope_is_found_and_where_there_is_none_seldom():
    minutes = np.arange(60) * 60.0
    rising = slope(minutes, 5 + alike(0, r=0) + minutes / 3600 * 8)
    assert rising.beyond(1) and not rising.beyond(9) and abs(rising.an_hour - 8) < rising.half
    falling = slope(minutes, 50 + alike(0, r=0) - minutes / 3600 * 8)
    assert falling.beyond(1) and not falling.beyond(9)
    assert not slope(minutes, [3.0] * 60).from_zero
    wrong = sum(slope(minutes, alike(seed)).from_zero for seed in range(400)) / 400
    assert wrong < 0.12  # by least squares alone: a third


def test_quantiles_of_what_came_between_two_samples():
    earlier = {"0.1": 5.0, "0.5": 7.0, "+Inf": 7.0}
    later = {"0.1": 105.0, "0.5": 207.0, "+Inf": 207.0}  # 100 up to 0.1 s, 100 up to 0.5 s
    assert quantile(earlier, later, 0.25) == pytest.approx(0.05)
    assert quantile(earlier, later, 0.5) == pytest.approx(0.1)
    assert quantile(earlier, later, 0.99) == pytest.approx(0.492)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a file system for each broker")
def test_three_brokers_move_leaders_and_outlive_a_full_disk(tmp_path):
    group = BrokerGroup(tmp_path, 3, own_disks=True)
    try:
        group.start().create_topics(4, "t")
        writer = topics.Writer(group.address, persistent=True)
        for number in range(1000):
            writer.send("t", f"c{number}", {"n": number})
        writer.flush()
        rng = random.Random(1)
        assert [group.move_leaders(rng) for _ in range(3)] != [[], [], []]
        for number in range(1000, 3000):
            writer.send("t", f"c{number}", {"n": number, "text": "x" * 1000})
        assert group.fill_disk(group.nodes[0], 30)
        writer.flush()
        writer.insist()
        assert group.wait_in_sync()
        group.roll()
        assert {record.json["n"] for record in topics.read_all(group.address, "t")} == set(range(3000))
    finally:
        group.kill()
