"""`rfmd gen`: to files and pipes, and to Kafka."""
import json
import signal
import subprocess
import time

import pytest

from harness.rfmd import base_config, binary, merged, run_command, write_config
from reference.decode import TYPES, decode, parse_time_ms
from reference.partition import partition_of
from reference.scores import Settings

pytestmark = pytest.mark.rfmd
YEAR_MS = 365 * 86_400_000


def text(output: bytes) -> str:
    return output.decode(errors="replace")


def gen(*arguments) -> list[bytes]:
    done = run_command("gen", *arguments)
    assert done.returncode == 0, text(done.stderr)
    return done.stdout.splitlines()


def test_events_are_those_of_a_shop():
    lines = gen("--clients", 2000, "--events", 20000)
    assert len(lines) == 20000
    events = [json.loads(line) for line in lines]
    for line in lines[:2000]:
        decode(line, Settings())
    counts = {kind: sum(event["type"] == kind for event in events) for kind in TYPES}
    assert all(counts.values()) and counts["purchase"] > 4000 and counts["refund"] < counts["purchase"] / 15
    orders = {event["order_id"]: event for event in events if event["type"] == "purchase"}
    assert all(event["order_id"] in orders for event in events if event["type"] == "refund")
    for order in orders.values():
        total = sum(int(item["price"].replace(".", "")) * item["quantity"] for item in order["items"])
        assert int(order["amount"].replace(".", "")) == (total * 9 // 10 if "coupon" in order else total)
    # some come twice, byte for byte, and the rest have ids of their own
    ids = [(event["type"], event["id"]) for event in events]
    assert len(set(lines)) == len(set(ids)) and 20 < len(ids) - len(set(ids)) < 400


def test_time_rises_from_start_over_the_days():
    lines = gen("--clients", 500, "--events", 5000, "--start", "2020-02-01T00:00:00Z", "--days", 100)
    seen, first = set(), []
    for line in lines:
        if line not in seen:
            first.append(parse_time_ms(json.loads(line)["time"]))
        seen.add(line)
    assert first == sorted(first)
    start = parse_time_ms("2020-02-01T00:00:00Z")
    assert start <= first[0] < start + YEAR_MS / 50 and start + 80 * 86_400_000 < first[-1] < start + 100 * 86_400_000


@pytest.mark.parametrize("seed", [3, 4])
def test_as_many_events_as_asked(seed):
    """These shops have too few within the year: a few days more make up for them."""
    lines = gen("--clients", 100, "--events", 5000, "--seed", seed)
    last = parse_time_ms(json.loads(lines[-1])["time"]) - parse_time_ms("2025-01-01T00:00:00Z")
    assert len(lines) == 5000 and YEAR_MS < last < 1.1 * YEAR_MS


def test_buyers_differ_and_lapse():
    events = [json.loads(line) for line in gen("--clients", 3000, "--events", 30000)]
    days = {}
    for event in events:
        if event["type"] == "purchase":
            days.setdefault(event["client_id"], []).append(parse_time_ms(event["time"]))
    orders = sorted(len(times) for times in days.values())
    assert orders[len(orders) // 2] <= 2 and orders[-1] > 12
    end = parse_time_ms(events[-1]["time"])
    long_gone = sum(end - max(times) > YEAR_MS / 2 for times in days.values())
    assert 0.1 < long_gone / len(days) < 0.5


def test_wrong_usage(tmp_path):
    config = write_config(tmp_path / "rfmd.yaml", base_config(tmp_path))
    for wrong in (["--clients", 0], ["--events", "x"], ["--days", -1], ["--start", "soon"], ["--rate", 0], ["more"],
                  ["-c", config, "--output", "x"], ["-c", config, "--start", "2020-01-01T00:00:00Z"], ["--nonsense"]):
        done = run_command("gen", *wrong)
        assert done.returncode == 2 and done.stderr and not done.stdout, wrong
    done = run_command("gen", "--output", tmp_path / "no" / "such" / "file")
    assert done.returncode == 3 and b"No such file" in done.stderr
    assert run_command("gen", "-c", tmp_path / "none.yaml").returncode == 1


def test_to_a_file_at_a_rate(tmp_path):
    paths = [tmp_path / "fast.ndjson", tmp_path / "slow.ndjson"]
    assert run_command("gen", "--events", 600, "--output", paths[0]).returncode == 0
    began = time.time()
    assert run_command("gen", "--events", 600, "--rate", 400, "--output", paths[1]).returncode == 0
    assert 1.2 < time.time() - began < 10
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_reader_that_has_had_enough():
    child = subprocess.Popen([binary(), "gen", "--events", "10000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline()
    child.stdout.close()
    assert child.wait(20) == 0 and child.stderr.read() == b""


def test_interrupted_ends_with_a_whole_line(tmp_path):
    path = tmp_path / "events.ndjson"
    child = subprocess.Popen([binary(), "gen", "--events", "100000000", "--clients", "1000000", "--output", path])
    while not path.exists() or path.stat().st_size < 1_000_000:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 0
    assert path.read_bytes().endswith(b"}\n")


def test_to_kafka(cluster):
    live = cluster()
    began = time.time()
    done = run_command("gen", "-c", live.config_path, "--clients", 200, "--events", 1500, "--rate", 1000)
    took, now_ms = time.time() - began, time.time() * 1000
    assert done.returncode == 0 and b"1500 events" in done.stderr, text(done.stderr)
    assert 1 < took < 10
    kinds = {}
    for topic in live.inputs:
        for record in live.read(topic):
            event = json.loads(record.value)
            kinds.setdefault(topic, set()).add(event["type"])
            assert record.key.decode() == event["client_id"]
            assert partition_of(record.key, 4) == record.partition
            assert now_ms - took * 1000 - 1000 < parse_time_ms(event["time"]) <= now_ms + 1000
    purchases, visits, messages = (kinds[topic] for topic in live.inputs)
    assert purchases == {"purchase", "refund"} and visits == {"visit"} and messages >= {"message", "consent"}
    assert messages <= TYPES - purchases - visits


def test_no_broker(tmp_path):
    config = write_config(tmp_path / "rfmd.yaml", merged(base_config(tmp_path), {"kafka": {"brokers": "127.0.0.1:1"}}))
    done = run_command("gen", "-c", config, "--events", 10, timeout_s=60)
    assert done.returncode == 3 and b"127.0.0.1:1" in done.stderr
