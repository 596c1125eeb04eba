"""`rfmd client --history`: every record of a client on the topics of triggers and audit, read here by another program, and
what the state remembers besides."""
import json
import time

import pytest
from confluent_kafka import Producer, TopicPartition

from harness.rfmd import run_command
from reference.decode import time_text
from reference.partition import partition_of

pytestmark = pytest.mark.rfmd
FIELDS = {"id", "rule", "class", "client_id", "time", "cause", "channel", "template", "variant", "promo", "data", "client",
          "rules_version", "suppressed_by", "status", "topic", "partition", "offset"}
MARKETING = {"class": "marketing", "channels": ["email"], "topic": "triggers"}
RULES = {
    "rules": [
        {"name": "thank_you", "on": {"event": "purchase"}, "class": "transactional", "channels": ["email"],
         "data": {"orders": "client.orders"}, "topic": "triggers"},
        {"name": "offer", "on": {"event": "visit"}, **MARKETING},
        {"name": "tested", "on": {"event": "visit"}, **MARKETING,
         "experiment": {"salt": "s", "control": "50%", "variants": [{"name": "a", "share": "50%"}]}},
        {"name": "review", "on": {"event": "purchase"}, "delay": "7d", "class": "transactional", "channels": ["email"],
         "topic": "triggers"},
    ],
    "policies": {"frequency_caps": [{"rule": "offer", "max": 1, "per": "7d"}]},
}
CLIENTS = [f"client-{number}" for number in range(12)]


def text(output: bytes) -> str:
    return output.decode(errors="replace")


def event(kind: str, client: str, number: int, now_ms: int, **fields) -> dict:
    return {"type": kind, "id": f"{kind}-{client}-{number}", "client_id": client, "time": now_ms, **fields}


def some_traffic(live, clients=CLIENTS) -> None:
    writer, now_ms = live.writer(), int(time.time() * 1000) // 1000 * 1000
    for number, client in enumerate(clients):
        if number % 3 != 2:
            writer.send(live.inputs[2], client, event("consent", client, 0, now_ms - 5000, channel="email", granted=True))
    writer.flush()
    live.wait_consumed()  # topics are not read in the order of times
    for client in clients:
        for visit in range(2):
            writer.send(live.inputs[1], client, event("visit", client, visit, now_ms - 4000 + visit * 1000))
        writer.send(live.inputs[0], client, event("purchase", client, 0, now_ms - 1000, order_id=f"o-{client}",
                                                  amount="10.00", currency="EUR"))
    writer.flush()
    live.wait_consumed()


def history(live, *clients, env: dict | None = None, code: int = 0) -> list[dict]:
    done = run_command("client", "-c", live.config_path, "--history", *clients, env=env)
    assert done.returncode == code, text(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def on_topics(live, client: str) -> list[dict]:
    """What the topics hold of the client, by time, as another reader of committed records sees it."""
    records = [record for record in live.triggers() + live.audit() if record.key == client.encode()]
    entries = []
    for record in records:
        held_back = record.topic == live.config["kafka"]["audit"]
        entries.append({**record.json, "suppressed_by": record.json.get("suppressed_by"),
                        "status": "held_back" if held_back else "sent", "topic": record.topic, "partition": record.partition,
                        "offset": record.offset})
    return entries


def in_order(entries: list[dict]) -> list[dict]:
    return sorted(entries, key=lambda entry: (entry["time"], entry["topic"] or "~", entry["offset"] or 0, entry["rule"]))


def test_history_is_what_the_topics_have_and_what_waits(cluster):
    live = cluster(rules=RULES).start()
    some_traffic(live)
    found = history(live, *CLIENTS)
    assert [entry["client_id"] for entry in found] == sorted((e["client_id"] for e in found), key=CLIENTS.index)
    kinds = set()
    for client in CLIENTS:
        own = [entry for entry in found if entry["client_id"] == client]
        assert [entry["time"] for entry in own] == sorted(entry["time"] for entry in own)
        assert all(entry.keys() == FIELDS for entry in own)
        due = [entry for entry in own if entry["status"] == "due"]
        assert in_order([entry for entry in own if entry not in due]) == in_order(on_topics(live, client))
        state = json.loads(run_command("client", "-c", live.config_path, client).stdout)
        assert [(entry["rule"], entry["time"]) for entry in due] == [(d["rule"], d["time"]) for d in state["due"]]
        assert [d["rule"] for d in state["due"]] == ["review"]
        assert {t["id"] for t in state["triggers"]} <= {entry["id"] for entry in own if entry["status"] == "sent"}
        assert history(live, client) == own
        kinds |= {(entry["rule"], entry["status"], entry["suppressed_by"], entry["variant"]) for entry in own}
    assert kinds >= {("thank_you", "sent", None, None), ("offer", "sent", None, None), ("offer", "held_back", "cap", None),
                     ("offer", "held_back", "consent", None), ("tested", "sent", None, "a"),
                     ("tested", "held_back", "control", None), ("review", "due", None, None)}, kinds
    assert all(entry["data"] == {"orders": 1} for entry in found if entry["rule"] == "thank_you")
    live.stop()


def test_history_of_those_who_are_not_known(cluster):
    live = cluster(rules=RULES).start()
    some_traffic(live, CLIENTS[:2])
    done = run_command("client", "-c", live.config_path, "--history", "nobody", CLIENTS[0], CLIENTS[0])
    assert done.returncode == 1 and "nobody" in text(done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == history(live, CLIENTS[0]) != []
    writer, now_ms = live.writer(), int(time.time() * 1000)
    writer.send(live.inputs[2], CLIENTS[0], event("erase", CLIENTS[0], 0, now_ms))
    writer.flush()
    live.wait_consumed()
    erased = history(live, CLIENTS[0])
    assert [entry for entry in lines if entry["status"] != "due"] == erased, "what was sent is on the topics still"
    live.stop()


def test_history_since(cluster):
    live = cluster(rules=RULES).start()
    some_traffic(live, CLIENTS[:3])
    time.sleep(1.1)
    between = time_text(int(time.time() * 1000))
    writer, now_ms = live.writer(), int(time.time() * 1000)
    writer.send(live.inputs[0], CLIENTS[0], event("purchase", CLIENTS[0], 1, now_ms, order_id="late", amount="5.00",
                                                  currency="EUR"))
    writer.flush()
    live.wait_consumed()
    all_of_it, late = history(live, CLIENTS[0]), history(live, CLIENTS[0], "--since", between)
    assert late == [entry for entry in all_of_it if entry["time"] >= between]
    assert {entry["rule"] for entry in late if entry["status"] == "sent"} == {"thank_you"} and len(late) < len(all_of_it)
    assert [entry["status"] for entry in history(live, CLIENTS[1], "--since", between)] == ["due"]
    live.stop()


def test_history_when_the_records_are_gone(cluster):
    """Retention takes records, not what the state remembers of them: the last send of each rule."""
    live = cluster(rules=RULES).start()
    some_traffic(live, CLIENTS[:1])
    client = CLIENTS[0]
    before = history(live, client)
    topic = live.trigger_topics[0]
    ends = [TopicPartition(topic, number, -1) for number in range(live.partitions)]
    admin = live.broker.admin()  # its futures live no longer than it does
    for future in admin.delete_records(ends).values():
        future.result(30)
    after = history(live, client)
    assert all(entry["topic"] is None for entry in after if entry["status"] == "sent")
    last = {entry["rule"]: (entry["id"], entry["time"]) for entry in before if entry["status"] == "sent"}
    sent = [entry for entry in after if entry["status"] == "sent"]
    assert last.keys() == {"thank_you", "offer", "tested"} and len(sent) == len(last)
    assert {entry["rule"]: (entry["id"], entry["time"]) for entry in sent} == last
    assert [e for e in after if e["status"] == "held_back"] == [e for e in before if e["status"] == "held_back"]
    assert all(entry.keys() == FIELDS for entry in after)
    live.stop()


def test_history_of_structured_records(cluster):
    live = cluster(rules=RULES, config={"output": "structured"}).start()
    some_traffic(live, CLIENTS[:1])
    found = history(live, CLIENTS[0])
    by_id = {record.json["id"]: record.json["data"] for record in live.triggers()}
    sent = [entry for entry in found if entry["status"] == "sent"]
    assert len(sent) == len(by_id) > 0 and all(by_id[entry["id"]].items() <= entry.items() for entry in sent)
    live.stop()


def test_history_reads_what_is_committed_and_passes_over_what_is_not_ours(cluster):
    live = cluster(rules=RULES).start()
    client = CLIENTS[0]
    some_traffic(live, [client])
    before = history(live, client)
    partition = partition_of(client.encode(), live.partitions)
    fake = json.dumps({**on_topics(live, client)[0], "id": "0" * 32})
    producer = Producer({"bootstrap.servers": live.broker.address, "transactional.id": "another", "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(live.trigger_topics[0], fake, client, partition)
    producer.flush(30)
    assert history(live, client) == before, "what is not committed yet is not history"
    producer.abort_transaction(30)
    assert history(live, client) == before, "nor what was aborted"
    writer = live.writer()
    for value in ("not JSON", '{"rule": "thank_you"}', None):
        writer.send(live.config["kafka"]["audit"], client, value, partition=partition)
    writer.flush()
    done = run_command("client", "-c", live.config_path, "--history", client)
    assert done.returncode == 0 and "3 records" in text(done.stderr), text(done.stderr)
    assert [json.loads(line) for line in done.stdout.splitlines()] == before
    live.stop()


def test_history_of_every_partition(cluster):
    """A topic that was given partitions: old records lie where their keys belonged before."""
    live = cluster(rules=RULES).start()
    client = CLIENTS[0]
    some_traffic(live, [client])
    before = history(live, client)
    entry = on_topics(live, client)[0]
    elsewhere = (partition_of(client.encode(), live.partitions) + 1) % live.partitions
    moved = {key: value for key, value in entry.items() if key not in ("status", "topic", "partition", "offset")}
    writer = live.writer()
    writer.send(live.trigger_topics[0], client, {**moved, "id": "f" * 32, "suppressed_by": None}, partition=elsewhere)
    writer.flush()
    assert history(live, client) == before
    more = history(live, client, "--every-partition")
    assert [e for e in more if e["id"] != "f" * 32] == before and len(more) == len(before) + 1
    live.stop()


def test_history_and_kafka_away(cluster):
    live = cluster(rules=RULES).start()
    some_traffic(live, CLIENTS[:1])
    begun = time.monotonic()
    done = run_command("client", "-c", live.config_path, "--history", CLIENTS[0],
                       env={"RFMD_KAFKA__BROKERS": "127.0.0.1:9"}, timeout_s=60)
    assert done.returncode == 3 and "127.0.0.1:9" in text(done.stderr) and time.monotonic() - begun < 30
    assert done.stdout == b""
    done = run_command("client", "-c", live.config_path, "--history", CLIENTS[0], env={"RFMD_KAFKA__AUDIT": "no-such-topic"})
    assert done.returncode == 3 and "no-such-topic" in text(done.stderr) and done.stdout == b""
    live.stop()


@pytest.mark.parametrize("arguments", [("--history",), ("--history", "--all"), ("--since", "2026-01-01T00:00:00Z", "a"),
                                       ("--every-partition", "a"), ("--history", "--since", "soon", "a"),
                                       ("--history", "--as-of", "2026-01-01T00:00:00Z", "a")])
def test_history_wrong_usage(arguments):
    done = run_command("client", "-c", "none.yaml", *arguments)
    assert done.returncode == 2 and done.stderr and done.stdout == b""

