"""Memory that the system does not give: exit code 3 with a message, or the same output as without the fault; after rfmd has died
of it, exactly once. RFM_INJECT=all: every place with all its callers, more seeds."""
import json
import os
import random
import signal

import pytest

from harness import wait_for
from harness.inject import NO_MEMORY, Command, environment, fail_each_allocation, library
from harness.rfmd import ROOT, run_command
from harness.story import STORY_RULES, Story

pytestmark = [pytest.mark.rfmd, pytest.mark.skipif(not library().exists(), reason=f"{library()} is not built")]
ALL = os.environ.get("RFM_INJECT") == "all"
DEPTH, STEP, RUNS = (8, 1, 40) if ALL else (2, 4, 4)
CONFIG = ROOT / "conf" / "rfmd.yaml"
if ALL:
    pytestmark.append(pytest.mark.timeout(7200))


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    done = run_command("gen", "--clients", 10, "--events", 300, "--days", 60, "--seed", 3, "--start", "2026-01-01T00:00:00Z",
                       "--output", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def purchases(tmp_path_factory):
    """The same shop as events and as CSV, large enough to be fitted."""
    folder = tmp_path_factory.mktemp("purchases")
    done = run_command("gen", "--clients", 400, "--events", 8000, "--days", 360, "--output", folder / "events")
    assert done.returncode == 0, done.stderr
    bought = [event for event in map(json.loads, (folder / "events").read_text().splitlines()) if event["type"] == "purchase"]
    rows = [f"{event['client_id']},{event['time']},{event['amount']}" for event in bought]
    (folder / "csv").write_text("\n".join(["client_id,date,amount", *rows]) + "\n")
    return folder


def holds(command: Command, folder, least: int, depth: int = DEPTH, step: int = STEP) -> None:
    faults, wrong = fail_each_allocation(command, folder, depth, step)
    assert faults >= least, f"only {faults} allocations failed: is {library()} loaded?"
    assert not wrong, "\n".join(wrong[:10])


def test_check(tmp_path):
    holds(Command("check", ["check", "-c", CONFIG, "--print"]), tmp_path, 3, step=1)


def test_test(tmp_path):
    holds(Command("test", ["test", ROOT / "tests" / "plays" / "welcome_series.yaml"]), tmp_path, 4)


def test_gen(tmp_path):
    command = ["gen", "--clients", 20, "--events", 500, "--days", 10, "--output", "{out}/events"]
    holds(Command("gen", command, ("events",)), tmp_path, 3, step=1)


def test_fit(tmp_path, purchases):
    command = ["fit", "--purchases", purchases / "csv", "--holdout", 30, "--output", "{out}/model", "--plot", "{out}/plot"]
    holds(Command("fit", command, ("model", "plot")), tmp_path, 3, step=1)


def test_fit_of_events(tmp_path, purchases):
    command = ["fit", "--purchases", purchases / "events", "--output", "{out}/model"]
    holds(Command("fit", command, ("model",)), tmp_path, 3, step=1)


def test_replay(tmp_path, events):
    outputs = ("triggers", "audit", "dead-letters", "clients", "report", "experiments")
    command = ["replay", "-c", CONFIG, "--events", events]
    for name in outputs:
        command += [f"--{name}", "{out}/" + name]
    holds(Command("replay", command, outputs), tmp_path, 5)


@pytest.mark.parametrize("command", (["replay", "-c", CONFIG, "--clients", "-", "--events"], ["fit", "--purchases"]))
def test_a_line_for_which_there_is_no_memory_is_not_the_last(tmp_path, events, command):
    """getline tells it from the end by errno only."""
    run = Command("lines", [*command, events]).run(tmp_path, environment(line=100))
    assert run.code == NO_MEMORY and b"events.ndjson: Cannot allocate memory" in run.stderr, run


def test_what_reads_the_state(cluster, tmp_path):
    live = cluster(rules=STORY_RULES).start()
    story = Story(live, 400, 40).rest()
    story.check()
    at = ["--as-of", "2030-01-01T00:00:00Z"]
    for name, more in (("client", ["--all", *at]), ("client", [*list(live.clients())[:2], *at]),
                       ("report", ["--format", "json"]), ("report", ["--experiments"])):
        holds(Command(f"{name} {more[0]}", [name, "-c", live.config_path, *more]), tmp_path / f"{name}{len(more)}", 3)


def test_run_dies_at_its_start_and_then_is_whole(cluster, tmp_path):
    """One of the first places of each of its phases fails; whoever starts next finds everything as it should be."""
    live = cluster(rules=STORY_RULES)
    process, rng, died = live.processes[0], random.Random(4), 0
    story = Story(live, 600, 60).tell(0.5)
    for number in sorted(rng.sample(range(5, 100), RUNS)):
        report = tmp_path / f"report-{number}"
        process.env = environment(alloc=number, alloc_stacks=3, report=report)
        process.start(wait=False)
        wait_for("the fault, or readiness", lambda: not process.running or process.ready, 60, 0.05, process.log_tail)
        if process.running:
            process.stop()
        if report.exists():
            died += 1
            assert process.child.returncode in (0, NO_MEMORY), f"{report.read_text()}{process.log_tail()}"
    assert died > 0
    process.env = {}
    process.start()
    story.rest().check()


@pytest.mark.parametrize("seed", range(1, 21 if ALL else 2))
def test_run_dies_under_load_and_then_is_whole(cluster, tmp_path, seed):
    live = cluster(rules=STORY_RULES, processes=2, config={"engine": {"cache_bytes_max": "1MiB"}})
    rng = random.Random(seed)
    for process in live.processes:  # whoever is at work allocates little
        process.env = environment(alloc=rng.randint(1, 30), after_ms=2500, report=tmp_path / "report")
        process.start(wait=False)
    deaths = []

    def start_the_dead() -> None:
        for process in live.processes:
            if not process.running:
                assert process.child.returncode == NO_MEMORY, process.log_tail()
                assert "out of memory" in process.log_tail(3), process.log_tail()
                deaths.append(process.name)
                process.start(wait=False)

    story = Story(live, 12_000, 1_200, seed=seed).tell_until(lambda: deaths, 8, start_the_dead)
    assert (tmp_path / "report").exists()
    for process in live.processes:
        process.env = {}
        process.kill()
    live.start()
    story.check(90)


@pytest.mark.parametrize("seed", range(1, 13 if ALL else 2))
@pytest.mark.parametrize("libraries, rate, ways_to_end", (
    ("rdkafka", 300, {NO_MEMORY, -signal.SIGABRT, -signal.SIGSEGV}),  # it uses some of what it was not given
    ("hiredis,libuv,yyjson", 50000, {NO_MEMORY, -signal.SIGABRT})), ids=("rdkafka", "others"))
def test_run_through_libraries_without_memory(cluster, tmp_path, libraries, rate, ways_to_end, seed):
    """They say so, or end the process; and then all is whole."""
    live = cluster(rules=STORY_RULES, processes=2)
    for number, process in enumerate(live.processes):
        process.env = environment(alloc_from=libraries, alloc_rate=rate, after_ms=2000,
                                  seed=10 * seed + number, report=tmp_path / f"report-{number}")
        process.start(wait=False)

    def start_the_dead() -> None:
        for process in live.processes:
            if not process.running:
                assert process.child.returncode in ways_to_end, process.log_tail()
                process.start(wait=False)

    story = Story(live, 12_000, 1_200, seed=seed)
    story.tell_until(lambda: sum(path.stat().st_size for path in tmp_path.glob("report-*")) > 0, 8, start_the_dead)
    for process in live.processes:
        process.env = {}
        process.kill()
    live.start()
    story.check(90)
