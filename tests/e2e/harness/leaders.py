"""Moving a partition's leader: two requests of Kafka's by hand, of which one is not in librdkafka and one not in its Python."""
from __future__ import annotations

import socket
import struct

ALTER_PARTITION_REASSIGNMENTS, ELECT_LEADERS = (45, 0), (43, 2)
PREFERRED, ELECTION_NOT_NEEDED = 0, 84
CORRELATION, TIMEOUT_MS, NO_TAGS = 7, 10_000, b"\0"


class Refused(Exception):
    """The cluster's answer was an error code of Kafka's."""


def reassign(address: str, wanted: dict[tuple[str, int], list[int]]) -> None:
    """Gives partitions their replicas, the preferred leader first. `address`: of any broker; it hands on."""
    topics = _by_topic({part: struct.pack(">i", part[1]) + _array([struct.pack(">i", node) for node in replicas]) + NO_TAGS
                        for part, replicas in wanted.items()})
    answer = _ask(address, ALTER_PARTITION_REASSIGNMENTS, struct.pack(">i", TIMEOUT_MS) + topics + NO_TAGS)
    _check(answer, True)


def elect_preferred(address: str, parts: list[tuple[str, int]]) -> None:
    topics = _by_topic({part: struct.pack(">i", part[1]) for part in parts})
    answer = _ask(address, ELECT_LEADERS, struct.pack(">b", PREFERRED) + topics + struct.pack(">i", TIMEOUT_MS) + NO_TAGS)
    _check(answer, False, ELECTION_NOT_NEEDED)


# -- requests

def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(parts + bytes([number]))


def _array(entries: list[bytes]) -> bytes:
    return _varint(len(entries) + 1) + b"".join(entries)


def _by_topic(entries: dict[tuple[str, int], bytes]) -> bytes:
    topics: dict[str, list[bytes]] = {}
    for (topic, _), entry in entries.items():
        topics.setdefault(topic, []).append(entry)
    return _array([_varint(len(topic) + 1) + topic.encode() + _array(parts) + NO_TAGS for topic, parts in topics.items()])


def _ask(address: str, request: tuple[int, int], body: bytes) -> _Reader:
    host, _, port = address.rpartition(":")
    frame = struct.pack(">hhih", *request, CORRELATION, -1) + NO_TAGS + body
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.settimeout(15)
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        (length,) = struct.unpack(">i", _received(connection, 4))
        answer = _Reader(_received(connection, length))
    assert (answer.take(">i"), answer.varint()) == (CORRELATION, 0), "not the answer to this request"
    return answer


def _received(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionError("the broker closed the connection")
        received += part
    return received


# -- answers: of both requests the time throttled for, an error, and one for each partition

class _Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(">B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        length = max(self.varint() - 1, 0)
        self.at += length
        return self.data[self.at - length : self.at].decode()


def _check(answer: _Reader, explained: bool, *fine: int) -> None:
    """`explained`: the request's own error has a text."""
    answer.take(">i")
    _check_error(answer, "the request", fine, explained)
    for _ in range(answer.varint() - 1):
        topic = answer.text()
        for _ in range(answer.varint() - 1):
            _check_error(answer, f"{topic} [{answer.take('>i')}]", fine)
            answer.varint()
        answer.varint()


def _check_error(answer: _Reader, what: str, fine: tuple[int, ...], explained: bool = True) -> None:
    code, text = answer.take(">h"), answer.text() if explained else ""
    if code and code not in fine:
        raise Refused(f"{what}: error {code} {text}")
