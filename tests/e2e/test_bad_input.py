"""Every way in which a record can be wrong: a dead letter with reason, position and original; the rest goes on."""
import json
import time

import pytest

from reference.decode import time_text
from reference.partition import partition_of

pytestmark = pytest.mark.rfmd
NOW_MS = int(time.time() * 1000)


def good(client: str = "c1", number: int = 0, **fields) -> dict:
    return {"type": "purchase", "id": f"{client}-{number}", "client_id": client, "time": NOW_MS - 60_000,
            "order_id": f"{client}-o{number}", "amount": "10.00", "currency": "EUR", **fields}


def without(name: str) -> dict:
    return {key: value for key, value in good().items() if key != name}


def nested(depth: int) -> bytes:
    return json.dumps(good()).encode()[:-1] + b', "more": ' + b"[" * depth + b"]" * depth + b"}"


# name: (value, the reasons that fit)
BAD = {
    "cut off": (json.dumps(good()).encode()[:-3], {"malformed"}),
    "not json": (b"hello", {"malformed"}),
    "two objects": (json.dumps(good()).encode() * 2, {"malformed"}),
    "an array": (b"[1]", {"malformed", "wrong_type"}),
    "a number": (b"17", {"malformed", "wrong_type"}),
    "empty": (b"", {"empty", "malformed"}),
    "null": (None, {"empty", "malformed"}),
    "json null": (b"null", {"malformed", "wrong_type", "empty"}),
    "not utf-8": (json.dumps(good()).encode().replace(b"EUR", b"\xc3\x28"), {"malformed"}),
    "a lone surrogate": (json.dumps(good()).encode().replace(b"EUR", b"\\ud800"), {"malformed", "bad_value", "unknown_currency"}),
    "trailing comma": (json.dumps(good()).encode()[:-1] + b",}", {"malformed"}),
    "NaN": (json.dumps(good()).encode().replace(b'"10.00"', b"NaN"), {"malformed"}),
    "deep": (nested(5000), {"too_deep", "malformed"}),
    "oversized": (json.dumps(good(page="x" * 700_000)).encode(), {"too_large"}),
    "no type": (without("type"), {"missing_field"}),
    "no id": (without("id"), {"missing_field"}),
    "no client": (without("client_id"), {"missing_field", "wrong_key"}),
    "no time": (without("time"), {"missing_field"}),
    "no order": (without("order_id"), {"missing_field"}),
    "no amount": (without("amount"), {"missing_field"}),
    "no currency": (without("currency"), {"missing_field"}),
    "unknown type": (good(type="dance"), {"unknown_type"}),
    "type is a number": (good(type=1), {"wrong_type"}),
    "id is a number": (good(id=5), {"wrong_type"}),
    "client is a list": (good(client_id=["c1"]), {"wrong_type"}),
    "client is empty": (good(client_id=""), {"bad_value", "missing_field", "wrong_key"}),
    "client is too long": (good(client_id="x" * 129), {"too_large", "bad_value", "wrong_key"}),
    "order is a bool": (good(order_id=True), {"wrong_type"}),
    "items is a string": (good(items="book"), {"wrong_type"}),
    "time is a word": (good(time="yesterday"), {"bad_time"}),
    "time without an offset": (good(time="2026-01-01T00:00:00"), {"bad_time"}),
    "time of no day": (good(time="2026-02-30T00:00:00Z"), {"bad_time"}),
    "time is a fraction": (good(time=1735689600000.5), {"bad_time", "wrong_type"}),
    "time is a bool": (good(time=True), {"bad_time", "wrong_type"}),
    "time before 1990": (good(time="1989-12-31T23:59:59.999Z"), {"time_too_old"}),
    "time in the future": (good(time=NOW_MS + 3_600_000), {"time_in_future"}),
    "time beyond all": (good(time=10**30), {"bad_time", "time_in_future", "wrong_type"}),
    "amount negative": (good(amount="-0.01"), {"bad_amount"}),
    "amount is a word": (good(amount="ten"), {"bad_amount", "bad_value"}),
    "amount is a list": (good(amount=[1]), {"wrong_type", "bad_amount"}),
    "amount of 3 decimals": (good(amount="10.001"), {"bad_amount"}),
    "amount beyond all": (good(amount="1e300"), {"bad_amount"}),
    "currency unknown": (good(currency="XXX"), {"unknown_currency"}),
    "currency is a number": (good(currency=978), {"wrong_type"}),
    "message of no status": ({"type": "message", "id": "m", "client_id": "c1", "time": NOW_MS, "channel": "email"},
                             {"missing_field"}),
    "message of unknown status": ({"type": "message", "id": "m", "client_id": "c1", "time": NOW_MS, "channel": "email",
                                   "status": "eaten"}, {"bad_value"}),
    "consent of no answer": ({"type": "consent", "id": "y", "client_id": "c1", "time": NOW_MS, "channel": "email"},
                             {"missing_field"}),
    "consent is a word": ({"type": "consent", "id": "y", "client_id": "c1", "time": NOW_MS, "channel": "email",
                           "granted": "yes"}, {"wrong_type"}),
    "refund of no order": ({"type": "refund", "id": "r", "client_id": "c1", "time": NOW_MS}, {"missing_field"}),
}


def encoded(value) -> bytes | None:
    return json.dumps(value).encode() if isinstance(value, dict) else value


@pytest.mark.sanitizer
def test_each_is_a_dead_letter_and_the_rest_goes_on(cluster):
    live = cluster().start()
    writer = live.writer()
    headers = [("trace", b"abc"), ("nothing", None), ("trace", b"twice")]
    for number, (name, (value, _)) in enumerate(BAD.items()):
        writer.send(live.inputs[number % 3], "c1", encoded(value), headers=headers)
        writer.send(live.inputs[0], "c1", good(number=number))
    places = writer.flush()[::2]
    live.settle()
    letters = {(letter.header("rfmd.topic"), int(letter.header("rfmd.partition")), int(letter.header("rfmd.offset"))): letter
               for letter in live.dead_letters()}
    wrong = []
    for (name, (value, reasons)), (topic, partition, offset, _) in zip(BAD.items(), places):
        letter = letters.pop((topic, partition, offset), None)
        if letter is None:
            wrong.append(f"{name}: no dead letter")
            continue
        if letter.header("rfmd.reason") not in reasons:
            wrong.append(f"{name}: {letter.header('rfmd.reason')} ({letter.header('rfmd.detail')})")
        if (letter.key, letter.value) != (b"c1", encoded(value)):
            wrong.append(f"{name}: not the original: {letter.key!r} {(letter.value or b'')[:80]!r}")
        if not letter.header("rfmd.detail"):
            wrong.append(f"{name}: no detail")
        if [header for header in letter.headers if not header[0].startswith("rfmd.")] != headers:
            wrong.append(f"{name}: headers {letter.headers}")
    assert not wrong, "\n".join(wrong)
    assert not letters, f"dead letters of good records: {list(letters)[:5]}"
    assert live.clients()["c1"]["orders"] == len(BAD)


def test_what_looks_odd_but_is_right(cluster):
    live = cluster(config={"money": {"rates": {"USD": 0.5, "JPY": 0.01}}}).start()
    writer = live.writer()
    fine = [good(amount=10), good(amount=10.5), good(amount="10"), good(amount="0"), good(time="2026-01-01T00:00:00+02:00"),
            good(time="2026-01-01t00:00:00.123456z"), good(unknown={"deeper": [1, 2]}), good(coupon=None), good(items=[]),
            good(amount="3.03", currency="USD"), good(amount=150, currency="JPY"), good(time=NOW_MS),
            good(items=[{"sku": "s", "category": "books", "quantity": 2, "price": "5.00"}])]
    for number, event in enumerate(fine):
        writer.send(live.inputs[number % 3], "c1", {**event, "id": f"e{number}", "order_id": f"o{number}"})
    writer.send(live.inputs[1], "é" * 64, good("é" * 64))
    writer.flush()
    live.settle()
    assert [letter.header("rfmd.reason") for letter in live.dead_letters()] == []
    client = live.clients()["c1"]
    # 3.03 USD at .5 is 1.515, half to even 1.52; 150 JPY at .01 is 1.50
    assert (client["orders"], client["revenue"]) == (12, "103.52")
    assert live.clients()["é" * 64]["orders"] == 1


def elsewhere(live, key: str) -> int:
    return (partition_of(key.encode(), live.partitions) + 1) % live.partitions


def test_wrong_key_and_wrong_partition(cluster):
    live = cluster().start()
    writer = live.writer()
    writer.send(live.inputs[0], "someone", good("c1"))
    writer.send(live.inputs[0], None, good("c1"), partition=partition_of(b"c1", live.partitions))
    writer.send(live.inputs[0], "c1", good("c1"), partition=elsewhere(live, "c1"))
    writer.send(live.inputs[0], "c1", good("c1"))
    for ahead_ms in (600_000, 600_001):  # at most ten minutes after the record's timestamp
        writer.send(live.inputs[0], "c2", good("c2", ahead_ms, time=NOW_MS - 700_000 + ahead_ms), timestamp_ms=NOW_MS - 700_000)
    writer.flush()
    live.settle()
    late = [letter for letter in live.dead_letters() if letter.key == b"c2"]
    assert [letter.header("rfmd.reason") for letter in late] == ["time_in_future"] and b"c2-600001" in late[0].value
    assert all(len(letter.header("rfmd.detail")) > 10 for letter in live.dead_letters())
    reasons = sorted((letter.header("rfmd.reason"), letter.key) for letter in live.dead_letters()
                     if letter.key not in (None, b"c2"))
    assert reasons == [("wrong_key", b"someone"), ("wrong_partition", b"c1")]
    assert [letter.header("rfmd.reason") for letter in live.dead_letters() if letter.key is None] == ["wrong_key"]
    assert live.clients()["c1"]["orders"] == 1


def test_no_partitioner_means_any_partition(cluster):
    live = cluster(config={"kafka": {"partitioner": "none"}}).start()
    writer = live.writer()
    writer.send(live.inputs[0], "c1", good("c1"), partition=elsewhere(live, "c1"))
    writer.flush()
    live.settle()
    assert live.dead_letters() == [] and live.clients()["c1"]["orders"] == 1


def test_crc32_is_what_librdkafka_does_by_default(cluster):
    live = cluster(config={"kafka": {"partitioner": "crc32"}}).start()
    writer = live.writer(partitioner="consistent_random")
    for number in range(200):
        writer.send(live.inputs[0], f"k{number}", good(f"k{number}"))
    writer.flush()
    live.settle()
    assert live.dead_letters() == [] and len(live.clients()) == 200


def test_a_refund_pushed_out_unmatched(cluster):
    live = cluster().start()
    writer = live.writer()
    refund = {"type": "refund", "client_id": "c1", "time": NOW_MS - 60_000}
    writer.send(live.inputs[0], "c1", {**refund, "id": "r1", "order_id": "never"})
    writer.send(live.inputs[0], "c1", {**refund, "id": "r2", "order_id": "neither", "amount": "4.00", "currency": "EUR"})
    for number in range(17):
        writer.send(live.inputs[0], "c1", good(number=number))
    writer.send(live.inputs[0], "c1", {**refund, "id": "r3", "order_id": "c1-o16"})
    writer.flush()
    live.settle()
    assert [letter.header("rfmd.reason") for letter in live.dead_letters()] == ["unknown_order"]
    client = live.clients()["c1"]
    assert (client["orders"], client["refunds"], client["revenue"]) == (17, 2, "156.00")
    assert client["as_of"] >= time_text(NOW_MS)
