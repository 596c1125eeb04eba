"""System calls that fail as a system's may: interrupted, short, without descriptors, connections reset. rfmd goes on, or
stops and says why; then everything is exactly once. RFM_INJECT=all: more seeds and longer."""
import os

import pytest

from harness import wait_for
from harness.inject import Command, environment, library, wrong_with
from harness.rfmd import ROOT, run_command
from harness.story import STORY_RULES, Story

pytestmark = [pytest.mark.rfmd, pytest.mark.skipif(not library().exists(), reason=f"{library()} is not built")]
ALL = os.environ.get("RFM_INJECT") == "all"
SEEDS = range(1, 13) if ALL else range(1, 2)
OVER_S, EVENTS = (30, 12_000) if ALL else (5, 3_000)
if ALL:
    pytestmark.append(pytest.mark.timeout(7200))
# Kinds and how often in a million: what goes on beneath notice; what breaks connections; what lets nothing new begin.
NOISE = "eintr:30000,short:50000,eagain:20000,delay:500"
BREAKS = "eintr:5000,short:20000,reset:1500,refuse:100000,names:100000"
NOTHING_NEW = "reset:1000,emfile:300000,refuse:200000"


def struck(report) -> dict[str, int]:
    """Faults by kind."""
    kinds = [line.split()[0] for line in report.read_text().splitlines()] if report.exists() else []
    return {kind: kinds.count(kind) for kind in set(kinds)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("calls", (NOISE, BREAKS, pytest.param(NOTHING_NEW, marks=pytest.mark.slow)),
                         ids=("noise", "breaks", "nothing-new"))
def test_run_through_failing_calls(cluster, tmp_path, calls, seed):
    live = cluster(rules=STORY_RULES, processes=2, unix_socket=seed % 2 == 0,
                   config={"kafka": {"consumer": {"session.timeout.ms": "4000"}}})
    reports = [tmp_path / f"faults-{number}" for number in range(2)]
    for number, process in enumerate(live.processes):
        # Short and interrupted from the first call on; what may end a start only once it is over.
        process.env = environment(calls=calls, seed=10 * seed + number, report=reports[number],
                                  after_ms=0 if calls == NOISE else 2500)
    live.start()

    def start_who_ended() -> None:
        for process in live.processes:
            assert process.running or process.child.returncode == 3, process.log_tail()
            if not process.running:
                process.start(wait=False)

    story, least = Story(live, 4 * EVENTS, 4 * EVENTS // 10, seed=seed), 3 if calls == NOTHING_NEW else 20
    story.tell_until(lambda: all(sum(struck(report).values()) > least for report in reports), OVER_S, start_who_ended)
    for process in live.processes:
        process.env = {}
        process.kill() if seed % 2 == 0 else process.stop()
    live.start()
    story.check(120)


@pytest.mark.parametrize("seed", SEEDS)
def test_files_are_read_and_written_in_pieces(tmp_path, seed):
    events = tmp_path / "events.ndjson"
    gen = ["gen", "--clients", 20, "--events", 600, "--days", 60, "--start", "2026-01-01T00:00:00Z"]
    assert run_command(*gen, "--output", events).returncode == 0
    config, env = ROOT / "conf" / "rfmd.yaml", environment(calls="short:300000,eintr:50000", seed=seed)
    for command in (Command("gen", [*gen, "--output", "{out}/e"], ("e",)),
                    Command("replay", ["replay", "-c", config, "--events", events, "--clients", "{out}/c"], ("c",)),
                    Command("check", ["check", "-c", config, "--print"])):
        calm = command.run(tmp_path / command.name)
        wrong = wrong_with(calm, command.run(tmp_path / command.name, env))
        assert calm.code == 0 and wrong is None, f"{command.name}: {wrong}"


@pytest.mark.parametrize("seed", range(1, 41 if ALL else 5))
def test_a_disk_that_fails_now_and_then(tmp_path, seed):
    """No room for one write, an error of one read or fsync: 3 and a message, or all of it."""
    events, env = tmp_path / "events.ndjson", environment(calls="enospc:100000,eio:100000", seed=seed, report=tmp_path / "faults")
    gen = ["gen", "--clients", 20, "--events", 600, "--days", 60, "--start", "2026-01-01T00:00:00Z"]
    assert run_command(*gen, "--output", events).returncode == 0
    replay = ["replay", "-c", ROOT / "conf" / "rfmd.yaml", "--events", events, "--clients", "{out}/c", "--triggers", "{out}/t"]
    for command in (Command("gen", [*gen, "--output", "{out}/e"], ("e",)), Command("replay", replay, ("c", "t"))):
        calm = command.run(tmp_path / command.name)
        run = command.run(tmp_path / command.name, env)
        assert calm.code == 0 and run.code in (0, 1, 3), run
        assert (run.stdout, run.files) == (calm.stdout, calm.files) if run.code == 0 else run.stderr.strip(), run
    assert struck(tmp_path / "faults"), "nothing failed"


def test_no_descriptor_is_left_at_the_start(cluster, tmp_path):
    """A start that fails says why; what fails later is tried again."""
    live = cluster(rules=STORY_RULES)
    story, process = Story(live, 400, 40).tell(0.5), live.processes[0]
    for seed in range(1, 41 if ALL else 4):
        process.env = environment(calls="emfile:40000,threads:20000,files:200", seed=seed, report=tmp_path / "faults")
        process.start(wait=False)
        wait_for("readiness or an end", lambda: not process.running or process.ready, 60, 0.05, process.log_tail)
        code = process.stop() if process.running else process.child.returncode
        last = process.log_tail(4)
        # A file of the configuration that cannot be read is told in its place, as any other error in it. libuv aborts where it
        # has no pipe for its signals.
        assert code == 0 or (code == 3 and ("level=error" in last or "out of memory" in last)) or \
            (code == 1 and "Too many open files" in last) or \
            (code == 3 and "(time zones)" in last) or (code == -6 and "libuv.so" in process.log_tail(20)), f"{code}\n{process.log_tail()}"
    process.env = {}
    process.start()
    story.rest().check()
