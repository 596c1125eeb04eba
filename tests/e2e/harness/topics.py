"""Writing and reading whole topics, and asking how far a group has come."""
from __future__ import annotations

import json
import time
from dataclasses import dataclass

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import AdminClient, OffsetSpec

TIMESTAMP_NONE = 0


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple = ()

    @property
    def json(self):
        return json.loads(self.value)

    def header(self, name: str) -> str | None:
        return next((value.decode() for key, value in self.headers if key == name), None)


class Writer:
    """A producer as Java clients partition. `sent` keeps where each record went, in the order given. `persistent`: what the
    broker refuses for good goes into `refused`, whether or not it stands in the log; else it is an exception."""

    def __init__(self, brokers: str, persistent: bool = False, **properties):
        self.persistent, self.refused = persistent, []
        self.producer = Producer({
            "bootstrap.servers": brokers, "partitioner": "murmur2_random", "enable.idempotence": True,
            "linger.ms": 5, "message.timeout.ms": 120_000, "queue.buffering.max.messages": 500_000, "log_level": 0,
            **properties})
        self.sent: list[tuple | None] = []

    def send(self, topic: str, key, value, timestamp_ms: int | None = None, partition: int = -1, headers=None) -> None:
        at = len(self.sent)
        self.sent.append(None)

        def delivered(error, message):
            if error is not None and not self.persistent:
                raise KafkaException(error)
            if error is not None:
                self.refused.append((topic, key, value, timestamp_ms, partition, headers))
                return
            self.sent[at] = (message.topic(), message.partition(), message.offset(), message.timestamp()[1])

        while True:
            try:
                self.producer.produce(topic, value=_bytes(value), key=_bytes(key), partition=partition,
                                      timestamp=timestamp_ms or TIMESTAMP_NONE, headers=headers, on_delivery=delivered)
                break
            except BufferError:
                self.producer.poll(0.05)
        self.producer.poll(0)

    def flush(self, timeout_s: float = 120) -> list[tuple]:
        left = self.producer.flush(timeout_s)
        assert left == 0, f"{left} records were not delivered"
        return self.sent

    def insist(self, timeout_s: float = 120) -> None:
        """Sends again what was refused, until nothing is."""
        deadline = time.monotonic() + timeout_s
        while self.refused:
            assert time.monotonic() < deadline, f"{len(self.refused)} records were refused for {timeout_s:g} s"
            again, self.refused = self.refused, []
            for record in again:
                self.send(*record)
            self.flush(timeout_s)


def _bytes(value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, separators=(",", ":")).encode()


def admin(brokers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": brokers, "socket.timeout.ms": 15_000, "log_level": 0})


def end_offsets(brokers: str, topics: list[str], committed_only: bool = True) -> dict[tuple[str, int], int]:
    """Where each partition ends; `committed_only`: for a read_committed reader (the last stable offset)."""
    client = admin(brokers)
    known = client.list_topics(timeout=8).topics
    wanted = {TopicPartition(topic, number): OffsetSpec.latest() for topic in topics for number in known[topic].partitions}
    level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
    answers = client.list_offsets(wanted, isolation_level=level, request_timeout=15)
    return {(part.topic, part.partition): future.result(15).offset for part, future in answers.items()}


def committed_offsets(brokers: str, group: str, require_stable: bool = True) -> dict[tuple[str, int], int]:
    parts = _group_offsets(brokers, group, require_stable)
    return {(part.topic, part.partition): part.offset for part in parts if part.offset >= 0}


def committed_metadata(brokers: str, group: str) -> dict[tuple[str, int], str]:
    return {(part.topic, part.partition): part.metadata for part in _group_offsets(brokers, group, True)}


def _group_offsets(brokers: str, group: str, require_stable: bool) -> list[TopicPartition]:
    client = admin(brokers)  # its futures live no longer than it does
    answers = client.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], require_stable=require_stable, request_timeout=15)
    return answers[group].result(20).topic_partitions


def read_all(brokers: str, topic: str, timeout_s: float = 60, committed_only: bool = True) -> list[Record]:
    """Everything on the topic up to its present end, per partition in order."""
    ends = {number: end for (_, number), end in end_offsets(brokers, [topic], committed_only).items()}
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "reader", "enable.auto.commit": False, "log_level": 0,
        "isolation.level": "read_committed" if committed_only else "read_uncommitted",
        "auto.offset.reset": "earliest", "enable.partition.eof": True, "fetch.wait.max.ms": 20,
        "fetch.queue.backoff.ms": 5})
    records: list[Record] = []
    unread = set(ends)
    deadline = time.monotonic() + timeout_s
    try:
        # A fetch asks the broker for its end anew: an end of partition lies at `ends` or behind it.
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        while unread:
            assert time.monotonic() < deadline, f"reading {topic} took more than {timeout_s:g} s"
            for message in consumer.consume(5000, 0.1):
                if message.error() is None:
                    records.append(_record(message))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
    finally:
        consumer.close()
    return sorted((record for record in records if record.offset < ends[record.partition]),
                  key=lambda record: (record.partition, record.offset))


def no_transaction_open(brokers: str, topics: list[str]) -> bool:
    return end_offsets(brokers, topics) == end_offsets(brokers, topics, committed_only=False)


def _record(message) -> Record:
    return Record(message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(),
                  message.value(), tuple(message.headers() or ()))
