"""Whatever dies, and whenever: every event counts once, every trigger is there once. Longer: fire.py."""
import pytest

from harness.chaos import Plan
from harness.fire import record_form, wall_form

pytestmark = [pytest.mark.rfmd, pytest.mark.timeout(600)]
CI = Plan(kills=10, stops=1, rollbacks=3, broker_restarts=1, seed=20, pause_s=(0.2, 1.2), session_s=4)


def test_facts_and_triggers_with_the_wall_clock(tmp_path):
    verdict = wall_form(tmp_path, events=30_000, clients=3_000, plan=CI)
    assert verdict.good, verdict.details()


def test_facts_and_triggers_with_static_members(tmp_path):
    plan = Plan(kills=6, stops=1, rollbacks=1, broker_restarts=0, seed=21, pause_s=(0.2, 1.0), session_s=4)
    verdict = wall_form(tmp_path, events=10_000, clients=1_000, plan=plan, static=True)
    assert verdict.good, verdict.details()


def test_byte_for_byte_with_the_clock_of_the_records(tmp_path):
    verdict = record_form(tmp_path, events=20_000, clients=2_000, plan=CI)
    assert verdict.good, verdict.details()


@pytest.mark.sanitizer
def test_without_any_fault_nothing_differs(tmp_path):
    plan = Plan(kills=0, stops=0, rollbacks=0, broker_restarts=0, seed=22)
    verdict = wall_form(tmp_path, events=5_000, clients=500, plan=plan, processes=1, config={"engine": {"workers": 2}})
    assert verdict.good, verdict.details()
