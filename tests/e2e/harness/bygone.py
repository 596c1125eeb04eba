"""A world as an older release has left it: inputs, WAL, the group's offsets and Redis, recorded once and put back at will."""
from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition

from . import topics
from .cluster import Cluster
from .fire import QUICK_MODEL, record_config, record_traffic
from .rfmd import client_lines, merged
from .traffic import Message, _text_of
from .waiting import wait_for

PARTITIONS, EVENTS, CLIENTS, SEED, BATCHES = 2, 240, 24, 6, 6
MARKETING = {"class": "marketing", "topic": "triggers"}
RULES = {
    "rules": [
        {"name": "thank_you", "on": {"event": "purchase"}, "class": "transactional", "channels": ["email", "push"],
         "topic": "triggers", "template": "thanks", "attribution": "14d"},
        {"name": "review", "on": {"event": "purchase"}, "delay": "7d", "cancel_on": ["refund"], "class": "transactional",
         "channels": ["email"], "topic": "triggers", "template": "how_was_it", "when": "event.amount > 20",
         "data": {"order": "event.order_id"}},
        {"name": "win_back", "on": {"fall": {"activity_ratio": 0.3}}, "cooldown": "90d", "channels": ["push", "email", "sms"],
         "template": "we_miss_you", "promo": {"prefix": "BACK", "percent": 15, "valid": "14d"}, "expires": "24h",
         "experiment": {"salt": "w1", "control": "30%", "variants": [{"name": "a", "share": "35%"}, {"name": "b", "share": "35%"}]},
         "attribution": "14d", **MARKETING},
        {"name": "nudge", "on": {"event": "visit"}, "delay": "1d", "cancel_on": ["purchase"], "cooldown": "14d",
         "channels": ["email", "sms"], "template": "still_looking", **MARKETING},
        {"name": "birthday", "on": {"anniversary": "birth_date", "at": "09:00"}, "channels": ["email", "push", "sms"],
         "template": "birthday", **MARKETING},
        {"name": "quiet", "on": {"idle": {"since": "purchase", "for": "20d"}}, "channels": ["push", "email", "sms"],
         "once": True, "template": "quiet", **MARKETING},
    ],
    "policies": {
        "frequency_caps": [{"class": "marketing", "max": 2, "per": "7d"}, {"max": 5, "per": "1d"}],
        "quiet_hours": {"from": "20:00", "to": "10:00", "default_timezone": "Europe/Berlin", "jitter": "15m"},
        "holdout": {"salt": "global-1", "share": "10%"},
        "consent": {"marketing": "opt_out", "transactional": "opt_out"},
    },
}


def path_of(release: str) -> Path:
    return Path(__file__).resolve().parents[2] / "fixtures" / f"world-{release}.json.gz"


def config_in(folder: Path) -> dict:
    # Small steps: many records in the WAL.
    return merged(record_config(folder), {"engine": {"step_events_max": 20}})


def traffic() -> tuple[list, list[int], int]:
    """Also somebody who wants to be forgotten, and comes again."""
    messages, timestamps, end_ms = record_traffic(EVENTS, CLIENTS, SEED, PARTITIONS)
    at = next(number for number, message in enumerate(messages) if number > 100 and message.kind == "purchase")
    erase = {"type": "erase", "id": "e1", "client_id": messages[at].key, "time": timestamps[at]}
    messages.insert(at + 1, Message("events", messages[at].key, json.dumps(erase).encode(), timestamps[at], kind="erase"))
    timestamps.insert(at + 1, timestamps[at])
    return messages, timestamps, end_ms


def cluster_in(folder: Path) -> Cluster:
    return Cluster(folder, 1, PARTITIONS, RULES, config_in(folder), QUICK_MODEL, static=True)


# -- recording


def record(folder: Path, release: str) -> dict:
    """What the program under test leaves of two thirds of the traffic."""
    messages, timestamps, _ = traffic()
    until = len(messages) * 2 // 3
    with cluster_in(folder) as cluster:
        cluster.start()
        writer = cluster.writer()
        for batch in range(BATCHES):
            for number in range(batch * until // BATCHES, (batch + 1) * until // BATCHES):
                message = messages[number]
                writer.send(message.topic, message.key, message.value, timestamps[number])
            writer.flush()
            cluster.wait_consumed()
        cluster.settle()
        as_of = _text_of(timestamps[until - 1] + 1000)
        return {
            "release": release,
            "inputs": [_record_of(record) for record in cluster.read("events")],
            "wal": [_record_of(record) for record in cluster.read(cluster.config["kafka"]["wal"])],
            "offsets": _offsets(cluster),
            "redis": dump(cluster.redis.client()),
            "as_of": as_of,
            "clients": sorted(line.decode() for line in client_lines(cluster.config_path, as_of)),
            "triggers": len(cluster.triggers()),
        }


def _record_of(record: topics.Record) -> dict:
    return {"partition": record.partition, "offset": record.offset, "timestamp": record.timestamp_ms,
            "key": text_of(record.key), "value": text_of(record.value),
            "headers": [[name, text_of(value)] for name, value in record.headers]}


def text_of(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _offsets(cluster: Cluster) -> list:
    committed = topics.committed_offsets(cluster.broker.address, cluster.group)
    metadata = topics.committed_metadata(cluster.broker.address, cluster.group)
    return [[partition, offset, metadata[topic, partition]] for (topic, partition), offset in sorted(committed.items())]


def dump(client) -> dict:
    """Every key with its type and value."""
    found = {}
    for key in sorted(client.keys("*")):
        kind = client.type(key).decode()
        value = {"string": lambda: text_of(client.get(key)),
                 "list": lambda: [text_of(entry) for entry in client.lrange(key, 0, -1)],
                 "hash": lambda: sorted([text_of(name), text_of(entry)] for name, entry in client.hgetall(key).items())}[kind]()
        found[key.decode()] = [kind, value]
    return found


def save(world: dict, path: Path) -> None:
    text = json.dumps(world, separators=(",", ":"), sort_keys=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def load(release: str) -> dict:
    return json.loads(gzip.decompress(path_of(release).read_bytes()))


# -- putting it back


def restore(cluster: Cluster, world: dict, redis: bool = True) -> None:
    """Topics with the same offsets, the group's offsets, and Redis; a new cluster has other ids, which meta then names."""
    wal = cluster.config["kafka"]["wal"]
    _produce(cluster, "events", world["inputs"])
    _produce_transactions(cluster, wal, world["wal"])
    _commit(cluster, world["offsets"])
    if redis:
        _fill(cluster.redis.client(), world["redis"])
        _name_cluster(cluster, {"wal": wal, "input:events": "events"})


def _produce(cluster: Cluster, topic: str, records: list) -> None:
    writer = cluster.writer()
    for record in records:
        writer.send(topic, bytes_of(record["key"]), bytes_of(record["value"]), record["timestamp"], record["partition"])
    for record, (_, partition, offset, _) in zip(records, writer.flush()):
        assert (partition, offset) == (record["partition"], record["offset"])


def _produce_transactions(cluster: Cluster, topic: str, records: list) -> None:
    """Each transaction's control record takes an offset: where one is missing, one has ended."""
    found = []
    producer = Producer({"bootstrap.servers": cluster.broker.address, "transactional.id": "bygone", "log_level": 0,
                         "linger.ms": 0})
    producer.init_transactions(30)
    for number, record in enumerate(records):
        before = records[number - 1] if number else None
        follows = before and before["partition"] == record["partition"] and before["offset"] + 1 == record["offset"]
        if not follows:
            if number:
                producer.commit_transaction(30)
            producer.begin_transaction()
        producer.produce(topic, bytes_of(record["value"]), bytes_of(record["key"]), record["partition"],
                         timestamp=record["timestamp"], headers=[(name, bytes_of(value)) for name, value in record["headers"]],
                         on_delivery=lambda error, message: found.append((message.partition(), message.offset())))
    producer.commit_transaction(30)
    assert found == [(record["partition"], record["offset"]) for record in records]


def _commit(cluster: Cluster, offsets: list) -> None:
    consumer = Consumer({"bootstrap.servers": cluster.broker.address, "group.id": cluster.group, "log_level": 0,
                         "enable.auto.commit": False})
    wanted = [TopicPartition("events", partition, offset, metadata) for partition, offset, metadata in offsets]

    def committed() -> bool:
        try:
            consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.COORDINATOR_LOAD_IN_PROGRESS:
                raise
            return False
        return True

    try:
        wait_for("the group's coordinator", committed)
    finally:
        consumer.close()


def _fill(client, keys: dict) -> None:
    for key, (kind, value) in keys.items():
        if kind == "string":
            client.set(key, bytes_of(value))
        elif kind == "list":
            client.rpush(key, *[bytes_of(entry) for entry in value])
        else:
            client.hset(key, mapping={bytes_of(name): bytes_of(entry) for name, entry in value})


def _name_cluster(cluster: Cluster, fields: dict[str, str]) -> None:
    admin = topics.admin(cluster.broker.address)
    ids = {name: str(future.result(15).topic_id)
           for name, future in admin.describe_topics(TopicCollection(list(fields.values()))).items()}
    meta = {field: ids[topic] for field, topic in fields.items()}
    meta["cluster"] = admin.describe_cluster().result(15).cluster_id
    cluster.redis.client().hset("rfm:meta", mapping=meta)
