"""What an older release has left is gone on with; what a newer one has made is refused, by name, and left as it is."""
import json
import os
from pathlib import Path

import pytest
import xxhash

from harness import bygone
from harness.fire import Sender
from harness.rfmd import client_lines, replay, run_command
from harness.traffic import _text_of
from harness.upgrade import rolling

pytestmark = [pytest.mark.rfmd, pytest.mark.timeout(300)]
RELEASES = ("0.1.0", "0.2.0")


@pytest.fixture
def bygone_cluster(tmp_path):
    """Makes a cluster in which a release's world has been put back."""
    made = []

    def make(world: dict, **options):
        made.append(bygone.cluster_in(tmp_path / f"cluster-{len(made)}"))
        bygone.restore(made[-1], world, **options)
        return made[-1]

    yield make
    for cluster in made:
        cluster.__exit__()


def assert_known(cluster, world: dict) -> None:
    """`rfmd client` tells what the release told of its clients; more may have come since."""
    expected = [json.loads(line) for line in world["clients"]]
    found = [json.loads(line) for line in sorted(client_lines(cluster.config_path, world["as_of"]))]
    assert [{name: state[name] for name in expected[0]} for state in found] == expected


def keys_of(dump: dict) -> dict:
    """By key; states by client, wherever a client lies: older releases gave each a key of its own."""
    found = {}
    for key, value in dump.items():
        task, name = key.split("}:", 1) if "}:" in key else (key, "")
        if name.startswith("b:"):
            found |= {f"{task}}}:client:{bygone.bytes_of(client).decode()}": state for client, state in value[1]}
        elif name.startswith("c:"):
            found[f"{task}}}:client:{name[2:]}"] = value[1]
        elif key != "rfm:meta":
            found[key] = value
    return found


def keys_now(cluster) -> dict:
    return keys_of(bygone.dump(cluster.redis.client()))


def half_move(client) -> None:
    """As in the midst of the first day: every second client has come into its bundle."""
    for key in sorted(client.keys("rfm:*:c:*"))[::2]:
        task, name = key.split(b"}:c:", 1)
        bundle = (xxhash.xxh3_64_intdigest(name) >> 32) % 8192
        client.hset(task + b"}:b:%d" % bundle, name, client.get(key))
        client.delete(key)


def assert_found_one_by_one(cluster, world: dict) -> None:
    for line in world["clients"]:
        done = run_command("client", "-c", cluster.config_path, "--as-of", world["as_of"], json.loads(line)["client_id"])
        assert done.returncode == 0 and json.loads(done.stdout)["revenue"] == json.loads(line)["revenue"], done.stderr


def set_format(cluster, number: int) -> None:
    cluster.redis.client().hset("rfm:meta", "format", str(number))


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_s_state_is_gone_on_with(bygone_cluster, tmp_path, release):
    world = bygone.load(release)
    cluster = bygone_cluster(world)
    assert_known(cluster, world)
    half_move(cluster.redis.client())
    assert_known(cluster, world)
    assert_found_one_by_one(cluster, world)
    format_before = int(cluster.redis.client().hget("rfm:meta", "format"))
    a_newer_format_is_refused_before_the_group_is_joined(cluster)
    set_format(cluster, format_before)
    cluster.start()
    one_that_is_refused_does_not_disturb_the_group(cluster)
    set_format(cluster, format_before)
    the_rest_comes_to_the_same(cluster, world, tmp_path)
    assert_all_in_bundles(cluster.redis.client())
    a_newer_state_is_refused(cluster)


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_s_wal_leads_to_its_state(bygone_cluster, release):
    """Redis is lost: what the release had written comes out of its WAL, byte for byte but for what is written anew."""
    world = bygone.load(release)
    cluster = bygone_cluster(world, redis=False)
    cluster.start()
    cluster.stop()
    lost, found = keys_of(world["redis"]), keys_now(cluster)
    changed = {key for key in lost.keys() | found.keys() if lost.get(key) != found.get(key)}
    # A new owner writes a record of its own, by which `wal` moves; and in today's format the states that it looks at.
    left = {key for key in changed if ":client:" not in key}
    assert {key.split("}:", 1)[1] for key in left} <= {"wal", "n:task"}, left
    assert lost.keys() == found.keys()
    assert_known(cluster, world)


def assert_all_in_bundles(client) -> None:
    """The traffic goes on for longer than a day, in which each client is looked at."""
    assert not client.keys("rfm:*:c:*") and client.keys("rfm:*:b:*")


def the_rest_comes_to_the_same(cluster, world: dict, folder: Path) -> None:
    """As if it had been one program from the start: what is computed from all events."""
    messages, timestamps, end_ms = bygone.traffic()
    done = len(world["inputs"])
    sender = Sender(cluster, messages[done:], 0, timestamps[done:])
    sender.start()
    sender.finish(60)
    cluster.settle()
    lines = [message.value for message in messages if message.value and b"\n" not in message.value]
    events = folder / "events.ndjson"
    events.write_bytes(b"\n".join(lines) + b"\n")
    expected = replay(cluster.config_path, [events], folder, _text_of(end_ms), "--partitions", bygone.PARTITIONS)
    assert sorted(client_lines(cluster.config_path, _text_of(end_ms))) == sorted(expected["clients"])
    # The release's own triggers are not in its world; those that came since are all that it had not sent.
    found = [record.value for record in cluster.triggers()]
    assert len(found) == len(set(found)) > 20
    assert set(found) <= set(expected["triggers"])
    assert len(found) == len(expected["triggers"]) - world["triggers"]


def a_newer_format_is_refused_before_the_group_is_joined(cluster) -> None:
    set_format(cluster, 99)
    before, process = keys_now(cluster), cluster.processes[0]
    process.start(wait=False)
    assert process.exit_code(60) == 3, process.log_tail()
    assert "rfm:meta says format=99, which a newer rfmd has made" in process.log_text(), process.log_tail()
    assert "assignment" not in process.log_text()
    assert keys_now(cluster) == before
    assert cluster.redis.client().hget("rfm:meta", "format") == b"99"
    for command in (("client", "--all"), ("report",), ("fit", "--from-state")):
        done = run_command(command[0], "-c", cluster.config_path, *command[1:])
        assert done.returncode == 3, (command, done.stderr)
        assert b"format=99, which a newer rfmd has made" in done.stderr, done.stderr


def one_that_is_refused_does_not_disturb_the_group(cluster) -> None:
    """A running one goes on with what it has; one that starts finds what no other of its kind may touch."""
    first, second = cluster.processes[0], cluster.add_process()
    set_format(cluster, 99)
    rebalances = first.metric("rfmd_rebalances_total")
    second.start(wait=False)
    assert second.exit_code(60) == 3, second.log_tail()
    assert first.running and first.ready
    assert first.metric("rfmd_rebalances_total") == rebalances
    cluster.processes.remove(second)


def a_newer_state_is_refused(cluster) -> None:
    """Not taken for a new client, nor written over."""
    client = cluster.redis.client()
    key = min(client.keys("rfm:*:b:*"))
    name, state = min(client.hgetall(key).items())
    name = name.decode()
    client.hset(key, name, b"\x63" + state[1:])
    process = cluster.processes[0].start(wait=False)
    time_ms = bygone.traffic()[2] + 1000
    writer = cluster.writer()
    writer.send("events", name, {"type": "visit", "id": "n1", "client_id": name, "time": time_ms}, time_ms)
    writer.flush()
    assert process.exit_code(60) == 3, process.log_tail()
    assert f"client '{name}' has version 99, which a newer rfmd has written" in process.log_text(), process.log_tail()
    assert client.hget(key, name)[:1] == b"\x63"
    done = run_command("client", "-c", cluster.config_path, name)
    assert done.returncode == 3 and b"written by a newer rfmd: run that one" in done.stderr, done.stderr


def test_a_newer_wal_record_is_refused(bygone_cluster):
    world = bygone.load(RELEASES[-1])
    for record in world["wal"]:
        record["value"] = bygone.text_of(b"\x63" + bygone.bytes_of(record["value"])[1:])
    cluster = bygone_cluster(world, redis=False)
    process = cluster.processes[0]
    process.start(wait=False)
    assert process.exit_code(60) == 3, process.log_tail()
    assert "it has version 99, which a newer rfmd has written" in process.log_text(), process.log_tail()
    assert not cluster.redis.client().keys("rfm:*:[bc]:*")


# -- two programs in one group


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_rolling_upgrade(tmp_path):
    """RFMD_OLD: the older program. Longer: upgrade.py."""
    old, new = os.environ.get("RFMD_OLD"), os.environ.get("RFMD")
    if not old or not new:
        pytest.skip("RFMD_OLD and RFMD name the two programs")
    verdict = rolling(tmp_path, Path(old), Path(new))
    assert verdict.good, verdict.details()
