"""kafka.delivery: at_least_once. Nothing is lost, states are exact, and what is repeated has the same id."""
import time

import pytest

from harness import wait_for
from harness.fire import Verdict, compare_dead_letters, compare_states, compare_triggers
from harness.story import STORY_RULES, Story
from test_bad_days import refuses

pytestmark = pytest.mark.rfmd
AT_LEAST_ONCE = {"kafka": {"delivery": "at_least_once"}}


def check(story: Story) -> int:
    """As Story.check, but for repeats: returns how many triggers and dead letters there were."""
    live = story.cluster
    live.settle(90)
    world, verdict, as_of = story.world(), Verdict(), int(time.time() * 1000)
    compare_states(verdict, world, live.clients(as_of), as_of)
    compare_triggers(verdict, world, live.triggers())
    compare_dead_letters(verdict, world, live.dead_letters())
    repeated = len(verdict.repeated) + sum(text.startswith("repeated: ") for text in verdict.dead_letters)
    verdict.repeated = []
    verdict.dead_letters = [text for text in verdict.dead_letters if not text.startswith("repeated: ")]
    assert verdict.good, verdict.details()
    assert live.read(live.config["kafka"]["wal"]) == []
    return repeated


def rollbacks(live) -> float:
    text = "".join(process.get("/metrics")[1] for process in live.processes)
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("rfmd_rollbacks_total"))


def test_without_faults_nothing_is_repeated(cluster):
    live = cluster(config=AT_LEAST_ONCE, rules=STORY_RULES, processes=2).start()
    assert check(Story(live).tell(0.5).rest()) == 0


def test_processes_are_killed_under_traffic(cluster):
    live = cluster(config={**AT_LEAST_ONCE, "kafka": {"delivery": "at_least_once", "consumer": {"session.timeout.ms": "6000"}}},
                   rules=STORY_RULES, processes=2).start()
    story = Story(live)
    sender = story.tell(1.0, over_s=12, wait=False)
    for i in range(6):
        time.sleep(1.5)
        process = live.processes[i % 2]
        process.kill()
        process.start(wait=False)
    story.told(sender)
    for process in live.processes:
        process.wait_ready(60)
    check(story)


def test_redis_is_rolled_back_and_the_events_are_read_again(cluster):
    live = cluster(config=AT_LEAST_ONCE, rules=STORY_RULES).start()
    story = Story(live).tell(0.3)
    live.wait_consumed()
    old = live.redis.snapshot()
    story.rest()
    live.wait_consumed()
    live.redis.roll_back(old)
    wait_for("the roll-back to be seen", lambda: rollbacks(live) > 0, 30, 0.2, live.processes[0].log_tail)
    live.processes[0].wait_ready()
    assert check(story) > 0


def test_redis_is_lost(cluster):
    live = cluster(config=AT_LEAST_ONCE, rules=STORY_RULES).start()
    story = Story(live, 1_000, 100).tell(1.0)
    live.settle()
    live.redis.client().flushall()
    before = len(live.triggers())
    live.start()
    live.wait_triggers(before * 2)
    assert check(story) > 0


@pytest.mark.parametrize("first, then", (("at_least_once", "exactly_once"), ("exactly_once", "at_least_once")))
def test_the_other_way_refuses_this_state(cluster, first, then):
    live = cluster(config={"kafka": {"delivery": first}}, rules=STORY_RULES).start()
    Story(live, 500, 50).tell(1.0)
    live.settle()
    refuses(live.add_process(kafka={"delivery": then}), " at_least_once")
