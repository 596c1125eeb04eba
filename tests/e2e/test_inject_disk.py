"""A full disk, and files that end before their time: exit code 3 and a message, never a file that is cut and called good."""
import os
import resource
import signal
import subprocess

import pytest

from harness.rfmd import ROOT, binary, run_command
from harness.story import STORY_RULES, Story

pytestmark = pytest.mark.rfmd
CONFIG = ROOT / "conf" / "rfmd.yaml"
FULL, NO_SPACE = "/dev/full", b"No space left on device"
GEN = ["gen", "--clients", 20, "--events", 600, "--days", 60, "--seed", 3, "--start", "2026-01-01T00:00:00Z"]


def into_a_full_disk(*arguments) -> None:
    """Standard output is full; or one of the arguments names what is."""
    with open(FULL, "wb") as full:
        done = subprocess.run([str(binary()), *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 3, (arguments, done)
    assert NO_SPACE in done.stderr or b"standard output: not all of it could be written" in done.stderr, (arguments, done)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    assert run_command(*GEN, "--output", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def purchases(tmp_path_factory):
    path = tmp_path_factory.mktemp("purchases") / "events.ndjson"
    assert run_command("gen", "--clients", 400, "--events", 8000, "--days", 360, "--output", path).returncode == 0
    return path


def test_files_on_a_full_disk(events):
    into_a_full_disk(*GEN, "--output", FULL)
    for output in ("triggers", "audit", "clients", "report", "experiments"):
        into_a_full_disk("replay", "-c", CONFIG, "--events", events, f"--{output}", FULL)


def test_standard_output_on_a_full_disk(events, purchases):
    for command in (GEN + ["--output", "-"], ["replay", "-c", CONFIG, "--events", events, "--clients", "-"],
                    ["check", "-c", CONFIG], ["check", "-c", CONFIG, "--print"], ["check", "--reference"], ["--help"],
                    ["version"], ["replay", "--help"], ["fit", "--purchases", purchases],
                    ["test", ROOT / "tests" / "plays" / "welcome_series.yaml"]):
        into_a_full_disk(*command)


def test_the_live_state_onto_a_full_disk(cluster):
    live = cluster(rules=STORY_RULES).start()
    Story(live, 400, 40).rest().check()
    known = next(iter(live.clients()))
    for command in (["client", "--all"], ["client", known], ["report"], ["report", "--format", "csv"],
                    ["report", "--experiments"]):
        into_a_full_disk(command[0], "-c", live.config_path, *command[1:])


def limited(bytes_max: int):
    """The disk takes so much of a file, and then no more."""
    def begin():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    return begin


@pytest.mark.parametrize("share", (0.0, 0.3, 0.7, 0.999))
def test_the_disk_fills_up_in_the_middle(events, tmp_path, share):
    command = [str(binary()), "replay", "-c", str(CONFIG), "--events", str(events), "--clients"]
    whole = subprocess.run([*command, str(tmp_path / "whole")], timeout=60, stderr=subprocess.PIPE)
    assert whole.returncode == 0
    size = os.path.getsize(tmp_path / "whole")
    done = subprocess.run([*command, str(tmp_path / "cut")], timeout=60, stderr=subprocess.PIPE,
                          preexec_fn=limited(int(share * size)))
    assert done.returncode == 3 and b"File too large" in done.stderr, done
    assert len((tmp_path / "cut").read_bytes()) <= share * size


def test_a_model_is_written_whole_or_not_at_all(purchases, tmp_path):
    model = tmp_path / "model.yaml"
    command = [str(binary()), "fit", "--purchases", str(purchases), "--output", str(model)]
    assert subprocess.run(command, timeout=60, capture_output=True).returncode == 0
    before = model.read_bytes()
    done = subprocess.run(command, timeout=60, capture_output=True, preexec_fn=limited(len(before) // 2))
    assert done.returncode == 3 and b"File too large" in done.stderr, done
    assert model.read_bytes() == before and os.listdir(tmp_path) == ["model.yaml"]
