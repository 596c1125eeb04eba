"""The machine's clock is set, ahead and back, while rfmd runs: nothing is lost or doubled, nothing storms or stands still."""
import os
import struct
import time
from pathlib import Path

import pytest

from harness import wait_for
from harness.inject import environment, library
from harness.story import STORY_RULES, Story

pytestmark = [pytest.mark.rfmd, pytest.mark.skipif(not library().exists(), reason=f"{library()} is not built")]
ALL = os.environ.get("RFM_INJECT") == "all"
HOUR_S = 3600
JUMPS_S = (0.5 * HOUR_S, -HOUR_S, -2 * HOUR_S, HOUR_S, 0) * (4 if ALL else 1)


def set_clock(path: Path, moved_s: float) -> None:
    """By so much from the true one."""
    with open(path, "r+b") as file:
        file.write(struct.pack("=q", int(moved_s * 1e9)))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(cluster, tmp_path, rules=STORY_RULES):
    """A cluster of one process, and the file that sets its clock."""
    clock = tmp_path / "clock"
    clock.write_bytes(bytes(8))
    live = cluster(rules=rules, config={"kafka": {"consumer": {"session.timeout.ms": "6000"}}})
    live.processes[0].env = environment(clock=clock)
    live.start()
    return live, live.processes[0], clock


def test_the_clock_is_set_while_events_come_in(cluster, tmp_path):
    live, process, clock = started(cluster, tmp_path)
    story = Story(live, 300 * len(JUMPS_S), 30 * len(JUMPS_S))
    for number, moved_s in enumerate(JUMPS_S):
        story.tell(0.5 / len(JUMPS_S))
        live.wait_consumed(30)
        set_clock(clock, moved_s)
        story.tell(0.5 / len(JUMPS_S))
        live.wait_consumed(30)
        assert process.running and process.get("/livez")[0] == 200, process.log_tail()
    said = process.log_text()
    assert said.count("was set back") >= 2 and said.count("was set ahead") >= 2, said
    story.rest()
    live.wait_consumed(30)
    before_s = cpu_s(process.pid)
    time.sleep(3)
    assert cpu_s(process.pid) - before_s < 1.5, "it storms while there is nothing to do"
    story.check()


def test_the_clock_is_set_back_while_nothing_happens(cluster, tmp_path):
    """Whoever waits until a moment of the wall clock would wait an hour more."""
    live, process, clock = started(cluster, tmp_path)
    story = Story(live, 400, 40).tell(0.5)
    live.wait_consumed()
    set_clock(clock, -HOUR_S)
    time.sleep(9)  # longer than a session lasts
    assert process.ready and process.get("/livez")[0] == 200, process.log_tail()
    assert process.log_text().count("assignment") <= 1, process.log_tail()
    story.rest()
    wait_for("the rest", lambda: not live.lag(), 20, 0.2, process.log_tail)
    story.check()


def test_what_is_due_comes_after_the_clock_was_set_back(cluster, tmp_path):
    """Not an hour later, when the machine's clock is where it was: also what has been read goes by the even clock."""
    rule = {"name": "later", "on": {"event": "visit"}, "delay": "1s", "class": "transactional", "topic": "triggers"}
    live, process, clock = started(cluster, tmp_path, [rule])
    set_clock(clock, -HOUR_S)
    wait_for("the clock's warning", lambda: "the machine's clock was set back" in process.log_text(), 10, 0.05, process.log_tail)
    writer = live.writer()
    writer.send(live.inputs[1], "c1", {"type": "visit", "id": "v1", "client_id": "c1", "time": int(time.time() * 1000)})
    writer.flush()
    wait_for("the trigger", lambda: len(live.triggers()) == 1, 20, 0.2, process.log_tail)
