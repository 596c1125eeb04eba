"""Servers that are away, full, slow, old or not the right ones: a wait or a clear error, never a wrong state."""
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest
import yaml
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from harness import RedisServer, topics, wait_for
from harness.rfmd import binary, merged, write_config
from harness.story import STORY_RULES, Story

pytestmark = pytest.mark.rfmd
GAVE_UP = {1, 3}


def said(process, *words: str) -> bool:
    """Whether a line of the log has one of the words."""
    text = process.log_text().lower()
    return any(word.lower() in text for word in words)


def refuses(process, *words: str, timeout_s: float = 40, watch_s: float = 4) -> None:
    """Ends with an error, or stays unready, and says why."""
    process.start(wait=False)
    wait_for(f"{process.name} to say one of {words}", lambda: said(process, *words), timeout_s, 0.1, process.log_tail)
    watched_until = time.monotonic() + watch_s
    while process.running and time.monotonic() < watched_until:
        assert not process.ready, f"{process.name} is ready\n{process.log_tail()}"
        time.sleep(0.1)
    if not process.running:
        assert process.child.returncode in GAVE_UP, process.log_tail()
    process.kill()


def ends_with_reason(process, *words: str, timeout_s: float = 40) -> None:
    code = process.exit_code(timeout_s)
    assert code in GAVE_UP, f"exit {code}\n{process.log_tail()}"
    assert said(process, *words), process.log_tail()


# -- Kafka


@pytest.mark.parametrize("properties, word", (({"compression.tpye": "lz4"}, "compression.tpye"),
                                              ({"enable.auto.commit": "true"}, "enable.auto.commit"),
                                              ({"security.protocol": "carrier-pigeon"}, "security.protocol"),
                                              ({"security.protocol": "ssl", "ssl.ca.location": "/nowhere"}, "ssl.ca.location")))
def test_a_wrong_property_is_a_wrong_configuration(cluster, properties, word):
    """Exit 1: a supervisor need not try again."""
    process = cluster(config={"kafka": {"properties": properties}}).processes[0].start(wait=False)
    assert process.exit_code(20) == 1, process.log_tail()
    assert said(process, word), process.log_tail()


def test_the_broker_goes_away_and_comes_back(own_cluster):
    live = own_cluster(rules=STORY_RULES, processes=2).start()
    story = Story(live).tell(0.4)
    live.broker.kill()
    for process in live.processes:
        process.wait_not_ready()
        assert process.get("/livez")[0] == 200
    live.broker.start()
    for process in live.processes:
        process.wait_ready(90)
    story.rest().check(90)


def test_the_broker_is_away_at_the_start(own_cluster):
    live = own_cluster(rules=STORY_RULES)
    live.broker.stop()
    process = live.processes[0].start(wait=False)
    wait_for("the probes", lambda: process.get("/livez")[0] == 200, 15, 0.1, process.log_tail)
    assert process.get("/readyz")[0] == 503
    live.broker.start()
    process.wait_ready(60)
    Story(live, 500, 50).rest().check()


def test_the_broker_restarts_under_traffic(own_cluster):
    live = own_cluster(rules=STORY_RULES).start()
    story = Story(live)
    sender = story.tell(1.0, over_s=6, wait=False)
    time.sleep(2)
    live.broker.stop()
    live.broker.start()
    story.told(sender).check(90)


def test_a_missing_topic_is_named(cluster):
    live = cluster()
    process = live.add_process(kafka={"dead_letters": "no-such-topic"})
    refuses(process, "no-such-topic")


def test_unequal_partition_counts_are_named(cluster, shared_broker):
    live = cluster()
    shared_broker.create_topics(3, f"{live.group}-three")
    process = live.add_process(kafka={"inputs": {"visits": {"topic": f"{live.group}-three"}}})
    refuses(process, f"{live.group}-three")


def test_a_compacted_log_is_refused(cluster, shared_broker):
    live = cluster()
    name = f"{live.group}-compacted"
    shared_broker.create_topics(live.partitions, name, config={"cleanup.policy": "compact"})
    refuses(live.add_process(kafka={"wal": name, "group": f"{live.group}-c"}, redis={"prefix": "c"}), "is compacted")


def test_a_log_that_is_kept_by_its_size_is_warned_of(cluster, shared_broker):
    live = cluster()
    name = f"{live.group}-sized"
    shared_broker.create_topics(live.partitions, name, config={"retention.bytes": "1000000000"})
    process = live.add_process(kafka={"wal": name, "group": f"{live.group}-s"}, redis={"prefix": "s"}).start()
    assert said(process, "keeps 1000000000 bytes of a partition")
    assert not said(live.processes[0].start(), "bytes of a partition")
    assert process.stop() == 0 and live.processes[0].stop() == 0


def test_create_topics_makes_them(cluster, shared_broker):
    live = cluster()
    names = [f"{live.group}-made-{kind}" for kind in ("wal", "dead")]
    process = live.add_process(kafka={"wal": names[0], "dead_letters": names[1], "group": f"{live.group}-made"},
                               redis={"prefix": "made"})
    process.spawn([str(binary()), "run", "-c", str(process.config_path), "--create-topics"])
    process.wait_ready()
    known = topics.admin(shared_broker.address).list_topics(timeout=10).topics
    assert [len(known[name].partitions) for name in names] == [live.partitions] * 2
    assert process.stop() == 0


def test_offsets_that_expired_under_us(cluster, shared_broker):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.settle()
    story.rest()
    admin = topics.admin(shared_broker.address)
    ends = topics.end_offsets(shared_broker.address, live.inputs)
    gone = [TopicPartition(topic, part, end) for (topic, part), end in ends.items() if end > 0]
    for future in admin.delete_records(gone).values():
        future.result(20)
    before = live.clients()
    refuses(live.processes[0], live.inputs[0], "offset", "out of range", "retention")
    assert {name: client["orders"] for name, client in live.clients().items()} == \
           {name: client["orders"] for name, client in before.items()}


def test_markers_of_transactions_that_expired_are_no_loss(cluster, shared_broker):
    """A producer's commit has an offset of its own, behind its last record. When all of it has expired, nothing is missing."""
    live = cluster(rules=STORY_RULES, partitions=1).start()
    purchases, visits = live.inputs[:2]
    writer = live.writer(**{"transactional.id": f"{live.group}-shop", "message.timeout.ms": 30_000})
    writer.producer.init_transactions(30)
    writer.producer.begin_transaction()
    writer.send(purchases, b"c", b'{"type":"visit","id":"v1","client_id":"c","time":1700000000000}')
    writer.producer.commit_transaction(30)
    said = []

    def passed_over():
        said.append({"type": "visit", "id": f"w{len(said)}", "client_id": "c", "time": 1700000000001 + len(said)})
        other = live.writer()
        other.send(visits, b"c", json.dumps(said[-1]).encode())
        other.flush()
        return topics.committed_offsets(shared_broker.address, live.group).get((purchases, 0)) == 2

    wait_for("a commit behind the marker", passed_over, 30, 0.3)
    live.settle()
    admin = topics.admin(shared_broker.address)
    for future in admin.delete_records([TopicPartition(purchases, 0, 2)]).values():
        future.result(20)
    live.start().settle()
    assert live.clients()["c"]["visits"] == 1 + len(said)


def test_the_group_s_offsets_are_gone_but_the_log_knows(cluster, shared_broker):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.settle()
    admin = topics.admin(shared_broker.address)
    for future in admin.delete_consumer_groups([live.group]).values():
        future.result(20)
    live.start()
    story.rest().check()


def test_the_log_is_too_old_for_this_redis(cluster, shared_broker):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.wait_consumed()
    old = live.redis.snapshot()
    story.rest()
    live.settle()
    wal = live.config["kafka"]["wal"]
    admin = topics.admin(shared_broker.address)
    ends = topics.end_offsets(shared_broker.address, [wal])
    for future in admin.delete_records([TopicPartition(wal, part, end) for (_, part), end in ends.items()]).values():
        future.result(20)
    live.redis.roll_back(old)
    refuses(live.processes[0], "restore")
    live.redis.roll_back(None)
    refuses(live.processes[0], "restore")


def test_the_same_static_id_twice(cluster):
    live = cluster(rules=STORY_RULES, static=True).start()
    story = Story(live).tell(0.5)
    first, twin = live.processes[0], live.add_process()
    twin.config["kafka"]["instance_id"] = first.config["kafka"]["instance_id"]
    write_config(twin.config_path, twin.config)
    twin.start(wait=False)
    loser = wait_for("one of the two to stop", lambda: next((p for p in (first, twin) if not p.running), None), 60)
    ends_with_reason(loser, "fenced", "instance")
    survivor = twin if loser is first else first
    survivor.wait_ready()
    live.processes = [survivor]
    story.rest().check()


# -- Redis


def test_redis_is_away_and_comes_back_older(cluster):
    live = cluster(rules=STORY_RULES, processes=2).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    old = live.redis.snapshot()
    story.tell(0.3)
    live.redis.kill()
    sender = story.tell(0.2, over_s=3, wait=False)
    story.told(sender)
    assert all(process.get("/livez")[0] == 200 for process in live.processes)
    live.redis.roll_back(old)
    story.rest().check()


def test_redis_is_away_at_the_start(cluster):
    live = cluster(rules=STORY_RULES)
    live.redis.kill()
    process = live.processes[0].start(wait=False)
    wait_for("the probes", lambda: process.get("/livez")[0] == 200, 15, 0.1, process.log_tail)
    time.sleep(1)
    assert process.get("/readyz")[0] == 503
    live.redis.start()
    process.wait_ready(60)
    Story(live, 500, 50).rest().check()


@pytest.mark.sanitizer
def test_redis_is_rolled_back_while_its_owner_runs(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    old = live.redis.snapshot()
    story.tell(0.3)
    live.wait_consumed()
    live.redis.roll_back(old)
    story.rest().check()


def test_redis_is_rolled_back_and_nothing_more_arrives(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.wait_consumed()
    old = live.redis.snapshot()
    story.rest()
    live.wait_consumed()
    live.redis.roll_back(old)
    expected = story.world()
    wait_for("Redis to be made whole again by its idle owner", lambda: (
        sum(client["orders"] for client in live.clients().values())
        == sum(client.facts.orders for client in expected.clients.values())), 30, 0.5, live.processes[0].log_tail)
    story.check()


def test_redis_loses_everything_while_its_owner_runs(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.wait_consumed()
    live.redis.client().flushall()
    story.rest().check()


def test_redis_is_full(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    live.redis.config_set(maxmemory="1")
    sender = story.tell(0.4, over_s=3, wait=False)
    story.told(sender)
    wait_for("OOM in the log", lambda: said(live.processes[0], "OOM", "maxmemory", "full"), 30, 0.1,
             live.processes[0].log_tail)
    assert live.processes[0].running and live.processes[0].get("/livez")[0] == 200
    wait_for("the refusals to be counted", lambda: live.processes[0].metrics()["rfmd_redis_stores_refused_total"] > 0, 15)
    live.redis.config_set(maxmemory="0")
    story.rest().check()


def test_redis_is_read_only_after_a_fail_over(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    live.redis.client().replicaof("127.0.0.1", "1")
    sender = story.tell(0.4, over_s=3, wait=False)
    story.told(sender)
    wait_for("READONLY in the log", lambda: said(live.processes[0], "READONLY", "read-only", "replica"), 30, 0.1,
             live.processes[0].log_tail)
    assert live.processes[0].running
    live.redis.client().replicaof("NO", "ONE")
    story.rest().check()


def test_redis_is_slow(cluster):
    live = cluster(rules=STORY_RULES, processes=2).start()
    story = Story(live)
    sender = story.tell(1.0, over_s=8, wait=False)
    for _ in range(4):
        live.redis.pause()
        time.sleep(1.2)
        live.redis.resume()
        time.sleep(0.5)
    story.told(sender).check()


def test_redis_hangs_for_longer_than_any_time_out(cluster):
    live = cluster(rules=STORY_RULES, config={"redis": {"timeout": "1s"}}).start()
    story = Story(live).tell(0.5)
    live.redis.pause()
    sender = story.tell(0.3, over_s=6, wait=False)
    story.told(sender)
    live.redis.resume()
    story.rest().check()


def test_redis_drops_every_connection_again_and_again(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live)
    sender = story.tell(1.0, over_s=6, wait=False)
    while sender.is_alive():
        live.redis.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.3)
    story.told(sender)
    wait_for("the losses to be counted", lambda: live.processes[0].metrics()["rfmd_redis_connections_lost_total"] > 10, 15)
    story.check()


def test_the_password_is_wrong_and_then_right(cluster, tmp_path):
    server = RedisServer(tmp_path / "guarded", password="open sesame").start()
    secret = tmp_path / "password"
    secret.write_text("close sesame")
    live = cluster(rules=STORY_RULES, redis=server, config={"redis": {"password_file": str(secret)}})
    refuses(live.processes[0], "password", "WRONGPASS", "NOAUTH", "auth")
    assert "close sesame" not in live.processes[0].log_text()
    secret.write_text("open sesame")
    live.start()
    Story(live, 500, 50).rest().check()


def test_a_policy_that_evicts_is_refused(cluster):
    live = cluster()
    live.redis.config_set(maxmemory_policy="allkeys-lru")
    refuses(live.processes[0], "noeviction")


def test_the_state_of_another_group_is_refused(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live, 500, 50).rest()
    live.settle()
    stranger = live.add_process(kafka={"group": f"{live.group}-other"})
    refuses(stranger, "meta", "group")
    live.processes.remove(stranger)
    live.start()
    story.check()


@pytest.mark.parametrize("others", ((1, 0, 2), (0, 1)), ids=("another order", "one less"))
def test_other_inputs_are_refused(cluster, others):
    """States and redo records name an input by its place."""
    live = cluster(rules=STORY_RULES).start()
    Story(live, 500, 50).rest().check()
    stranger = live.add_process()
    inputs = list(stranger.config["kafka"]["inputs"].items())
    stranger.config["kafka"]["inputs"] = dict(inputs[place] for place in others)
    write_config(stranger.config_path, stranger.config)
    refuses(stranger, "meta says inputs=")


def make_anew(broker, topic: str, partitions: int) -> None:
    admin = topics.admin(broker.address)
    admin.delete_topics([topic])[topic].result(20)

    def made():
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)
            return True
        except Exception:  # noqa: BLE001 - until the old one is gone
            return False

    wait_for("the topic to be made anew", made, 20, 0.3)


def test_a_topic_made_anew_is_refused(cluster, shared_broker):
    live = cluster(rules=STORY_RULES).start()
    Story(live, 500, 50).rest()
    live.settle()
    make_anew(shared_broker, live.config["kafka"]["wal"], live.partitions)
    refuses(live.processes[0], "topic", "meta", "watermark")


def test_braces_in_the_prefix_are_refused(cluster):
    live = cluster(config={"redis": {"prefix": "a{b}"}})
    process = live.processes[0].start(wait=False)
    ends_with_reason(process, "prefix")


def test_somebody_else_writes_under_our_prefix(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.1)
    live.wait_consumed()
    old = live.redis.snapshot()
    story.tell(0.4)
    live.settle()
    live.redis.roll_back(old)
    client = live.redis.client()
    for key in list(client.scan_iter("*:wal")):  # lists that a take-over adds to, and that nobody reads before their minute
        client.mset({key.removesuffix(b"wal") + b"ring:%d" % minute: b"x" for minute in range(1440)})
    process = live.processes[0]
    refuses(process, "only in part", watch_s=10)
    assert not process.running and process.child.returncode in GAVE_UP, process.log_tail()


def test_a_refused_file_is_taken_once_it_is_right(cluster):
    """Also one that the configuration in use does not name: nobody need touch another file or send a signal."""
    live = cluster(rules=STORY_RULES).start()
    process, rules = live.processes[0], live.folder / "more.yaml"
    topic = yaml.safe_load((live.folder / "rules.yaml").read_text())["rules"][0]["topic"]
    rules.write_text("rules: [{name: hello, on: {event: vist}}]")
    write_config(process.config_path, merged(process.config, {"rules": [*process.config["rules"], str(rules)]}))

    def reloads(result: str) -> int:
        return process.metrics().get(f'rfmd_reloads_total{{result="{result}"}}', 0)

    wait_for("the reload to be refused", lambda: reloads("refused") >= 1, 15, 0.1)
    rules.write_text(f"rules: [{{name: hello, on: {{event: visit}}, class: transactional, channels: [email], topic: {topic}}}]")
    wait_for("the mended file to be taken", lambda: reloads("taken") == 1, 15, 0.1, process.log_tail)


def test_a_reload_that_names_a_missing_topic_is_refused(cluster):
    live = cluster(rules=STORY_RULES).start()
    process, rules = live.processes[0], live.folder / "rules.yaml"
    before = rules.read_text()
    story = Story(live).tell(0.3)
    rules.write_text(before.replace("topic: ", "topic: no-such-", 1))
    wait_for("the reload to be refused", lambda: process.metrics().get('rfmd_reloads_total{result="refused"}') == 1, 15, 0.1,
             process.log_tail)
    assert said(process, "no-such-")
    story.rest().check()


# -- signals


@pytest.mark.parametrize("seed", range(3))
def test_sigterm_in_any_phase(cluster, seed):
    live = cluster(rules=STORY_RULES, processes=2).start()
    rng = random.Random(seed)
    story = Story(live, seed=seed)
    sender = story.tell(1.0, over_s=12, wait=False)
    while sender.is_alive():
        process = rng.choice(live.processes)
        delay_s = rng.choice((0, 0.05, 0.1, 0.3, 0.7, 1.2))
        time.sleep(delay_s)
        expected = (0,) if process.takes(signal.SIGTERM) else (0, -15)
        assert process.stop() in expected, process.log_tail()
        process.start(wait=False)
    story.told(sender).check()


def test_sigterm_at_once(cluster):
    live = cluster()
    for delay_s in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8):
        process = live.processes[0].start(wait=False)
        time.sleep(delay_s)
        expected = (0,) if process.takes(signal.SIGTERM) else (0, -15)
        process.terminate()
        code = process.exit_code(25)
        assert code in expected, f"{code} after {delay_s} s\n{process.log_tail()}"


def test_sigterm_while_redis_is_away(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.redis.kill()
    sender = story.tell(0.2, over_s=1, wait=False)
    story.told(sender)
    code = live.processes[0].stop()
    assert code in (0, 3), live.processes[0].log_tail()
    live.redis.start()
    live.start()
    story.rest().check()


def test_sigterm_while_nobody_answers(cluster):
    """Connections are taken, and then nothing comes: the main thread waits for its time-outs one after the other."""
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    hosts = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in silent)
    process = cluster(config={"redis": {"url": f"redis+sentinel://{hosts}/main/0", "timeout": "10s"}}).processes[0]
    process.start(wait=False)
    wait_for("the start to come to Redis", lambda: said(process, "partitions, 1 workers"), 30, 0.1, process.log_tail)
    assert process.stop(26) == 0, process.log_tail()
    for server in silent:
        server.close()


def test_sigterm_while_nobody_reads_the_log(cluster):
    """Standard error is a pipe that is full, as behind a log driver that hangs: neither work nor the end waits for it."""
    live = cluster(rules=STORY_RULES).start()
    live.stop()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    child = subprocess.Popen([binary(), "run", "-c", live.processes[0].config_path], stderr=writer)
    os.close(writer)
    story = Story(live).tell(1.0)
    live.wait_consumed()
    child.send_signal(signal.SIGTERM)
    assert child.wait(25) == 0
    os.close(reader)
    story.check()


def test_sigterm_while_redis_is_full(cluster):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    live.redis.config_set(maxmemory="1")
    story.tell(0.2)
    wait_for("OOM in the log", lambda: said(live.processes[0], "OOM", "maxmemory", "full"), 30, 0.1, live.processes[0].log_tail)
    assert live.processes[0].stop() == 0, live.processes[0].log_tail()
    live.redis.config_set(maxmemory="0")
    live.start()
    story.rest().check()


def test_sigterm_while_the_broker_is_away(own_cluster):
    live = own_cluster(rules=STORY_RULES).start()
    story = Story(live).tell(0.5)
    live.broker.kill()
    live.processes[0].wait_not_ready()
    code = live.processes[0].stop()
    assert code in (0, 3), live.processes[0].log_tail()
    live.broker.start()
    live.start()
    story.rest().check(90)


def test_a_pause_longer_than_the_session(cluster):
    live = cluster(rules=STORY_RULES, processes=2, config={"kafka": {"consumer": {"session.timeout.ms": "2000"}}}).start()
    story = Story(live)
    sender = story.tell(1.0, over_s=8, wait=False)
    time.sleep(1)
    live.processes[0].pause()
    time.sleep(4)
    live.processes[0].resume()
    story.told(sender).check()


@pytest.mark.sanitizer
def test_workers_and_processes_come_and_go(cluster):
    live = cluster(rules=STORY_RULES, processes=3, config={"engine": {"workers": 2}})
    live.processes[0].start()
    story = Story(live)
    sender = story.tell(1.0, over_s=10, wait=False)
    live.processes[1].start()
    live.processes[2].start()
    assert live.processes[0].stop() == 0
    assert live.processes[1].stop() == 0
    live.processes[0].start()
    story.told(sender).check()
