"""What an older release has left is gone on with; what a newer one has made is refused, by name, and left as it is."""
import json
import os
from pathlib import Path

import pytest

from harness import bygone
from harness.fire import Sender
from harness.rfmd import client_lines, replay, run_command
from harness.topics import committed_metadata
from harness.traffic import _text_of
from harness.upgrade import rolling
from harness.waiting import wait_for

pytestmark = [pytest.mark.rfmd, pytest.mark.timeout(300)]
RELEASES = ("0.1.0",)
NEWER = "which a newer rfmd has"


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


def known_fields(line: str, names: set) -> dict:
    return {name: value for name, value in json.loads(line).items() if name in names}


def states_of(cluster, as_of: str, like: list[str]) -> list[dict]:
    """What is told of the clients, as far as the release told it; more may have come since."""
    names = set(json.loads(like[0]))
    return [known_fields(line, names) for line in sorted(client_lines(cluster.config_path, as_of))]


def keys_of(cluster) -> dict:
    keys = bygone._dump(cluster.redis.client())
    del keys["rfm:meta"]
    return keys


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_s_state_is_read(bygone_cluster, release):
    world = bygone.load(release)
    cluster = bygone_cluster(world)
    assert states_of(cluster, world["as_of"], world["clients"]) == [json.loads(line) for line in world["clients"]]


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_s_work_is_gone_on_with(bygone_cluster, tmp_path, release):
    """The rest of the events, as if it had been one program from the start: the same as computed from all of them."""
    world = bygone.load(release)
    cluster = bygone_cluster(world)
    messages, timestamps, end_ms = bygone.traffic()
    done = len(world["inputs"])
    cluster.start()
    sender = Sender(cluster, messages[done:], 0, timestamps[done:])
    sender.start()
    sender.finish(60)
    cluster.settle()
    events = tmp_path / "events.ndjson"
    events.write_bytes(b"\n".join(message.value for message in messages if message.value and b"\n" not in message.value) + b"\n")
    expected = replay(cluster.config_path, [events], tmp_path, _text_of(end_ms), "--partitions", bygone.PARTITIONS)
    assert sorted(client_lines(cluster.config_path, _text_of(end_ms))) == sorted(expected["clients"])
    # The release's own triggers are not in its world; those that came since are all that it had not sent.
    found = sorted(record.value for record in cluster.triggers())
    assert len(found) == len(set(found)) > 20
    assert set(found) <= set(expected["triggers"])
    assert len(found) == len(expected["triggers"]) - world["triggers"]


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_s_wal_leads_to_its_state(bygone_cluster, release):
    """Redis is lost: what the release had written comes out of its WAL, byte for byte."""
    world = bygone.load(release)
    cluster = bygone_cluster(world, redis=False)
    cluster.start()
    cluster.stop()
    lost = bygone_keys(world)
    found = keys_of(cluster)
    changed = {key for key in lost.keys() | found.keys() if lost.get(key) != found.get(key)}
    # A new owner writes a record of its own, by which `wal` moves; nothing else has happened.
    assert {key.rsplit(":", 1)[1] for key in changed} <= {"wal", "n:task"}, changed
    assert states_of(cluster, world["as_of"], world["clients"]) == [json.loads(line) for line in world["clients"]]


def bygone_keys(world: dict) -> dict:
    return {key: value for key, value in world["redis"].items() if key != "rfm:meta"}


# -- what a newer program has made


def refused(cluster, *words: str) -> None:
    """It ends with 3, says these words, and has changed nothing."""
    before, process = keys_of(cluster), cluster.processes[0]
    process.start(wait=False)
    assert process.exit_code(40) == 3, process.log_tail()
    for word in words:
        assert word in process.log_text(), process.log_tail()
    assert keys_of(cluster) == before


def test_a_newer_format_is_refused_before_the_group_is_joined(bygone_cluster):
    cluster = bygone_cluster(bygone.load("0.1.0"))
    cluster.redis.client().hset("rfm:meta", "format", "99")
    offsets = committed_metadata(cluster.broker.address, cluster.group)
    refused(cluster, "rfm:meta says format=99, which a newer rfmd has made", "run the newer one")
    assert "take" not in cluster.processes[0].log_text()
    assert committed_metadata(cluster.broker.address, cluster.group) == offsets
    assert cluster.redis.client().hget("rfm:meta", "format") == b"99"
    for command in (("client", "--all"), ("report",), ("fit", "--from-state")):
        done = run_command(command[0], "-c", cluster.config_path, *command[1:])
        assert done.returncode == 3, (command, done.stderr)
        assert NEWER in done.stderr.decode(), done.stderr


def test_one_that_is_refused_does_not_disturb_the_group(own_cluster):
    """Both are of one group; the second finds a format that the first did not know of either."""
    cluster = own_cluster(processes=2)
    first, second = cluster.processes
    first.start()
    cluster.redis.client().hset("rfm:meta", "format", "99")
    joined = first.metric("rfmd_rebalances_total")
    second.start(wait=False)
    assert second.exit_code(40) == 3
    assert NEWER in second.log_text()
    assert first.running and first.ready
    assert first.metric("rfmd_rebalances_total") == joined


def test_a_newer_state_is_refused_and_not_taken_for_a_new_client(bygone_cluster):
    cluster = bygone_cluster(bygone.load("0.1.0"))
    client = cluster.redis.client()
    key = next(key for key in client.keys("rfm:*:c:*"))
    client.setrange(key, 0, b"\x63")
    name = key.decode().rsplit(":", 1)[1]
    process = cluster.processes[0].start()
    end_ms = bygone.traffic()[1][-1]
    cluster.writer().send("events", name, {"type": "visit", "id": "n1", "client_id": name, "time": end_ms}, end_ms)
    assert process.exit_code(60) == 3, process.log_tail()
    assert f"'c:{name}' has version 99, which a newer rfmd has written" in process.log_text(), process.log_tail()
    assert client.get(key)[:1] == b"\x63"
    done = run_command("client", "-c", cluster.config_path, name)
    assert done.returncode == 3 and b"written by a newer rfmd: run that one" in done.stderr, done.stderr


def test_a_newer_wal_record_is_refused(bygone_cluster):
    world = bygone.load("0.1.0")
    for record in world["wal"]:
        record["value"] = bygone._text(b"\x63" + bygone._bytes(record["value"])[1:])
    cluster = bygone_cluster(world, redis=False)
    refused_on_replay = "it has version 99, which a newer rfmd has written"
    process = cluster.processes[0]
    process.start(wait=False)
    assert process.exit_code(40) == 3, process.log_tail()
    assert refused_on_replay in process.log_text(), process.log_tail()
    assert not cluster.redis.client().keys("rfm:*:c:*")


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
