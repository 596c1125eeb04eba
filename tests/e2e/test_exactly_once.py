"""Whatever dies, and whenever: every event counts once, every trigger is there once. Longer: fire.py."""
import os
from pathlib import Path

import pytest

from harness.chaos import Plan
from harness.fire import Site, record_form, wall_form
from harness.plays import plays_form

pytestmark = [pytest.mark.rfmd, pytest.mark.timeout(600)]
CI = Plan(kills=10, stops=1, rollbacks=3, broker_restarts=1, seed=20, pause_s=(0.2, 1.2), session_s=4)


def test_facts_and_triggers_with_the_wall_clock(tmp_path):
    verdict = wall_form(tmp_path, events=30_000, clients=3_000, plan=CI)
    assert verdict.good, verdict.details()


def test_facts_and_triggers_with_static_members(tmp_path):
    plan = Plan(kills=6, stops=1, rollbacks=1, broker_restarts=0, seed=21, pause_s=(0.2, 1.0), session_s=4)
    verdict = wall_form(tmp_path, events=10_000, clients=1_000, plan=plan, site=Site(static=True))
    assert verdict.good, verdict.details()


@pytest.mark.slow
def test_byte_for_byte_with_the_clock_of_the_records(tmp_path):
    verdict = record_form(tmp_path, events=20_000, clients=2_000, plan=CI)
    assert verdict.good, verdict.details()


def test_byte_for_byte_with_all_shipped_plays(tmp_path):
    plan = Plan(kills=8, stops=1, rollbacks=2, broker_restarts=0, seed=24, pause_s=(0.2, 1.2), session_s=4)
    verdict = plays_form(tmp_path, events=12_000, clients=1_200, plan=plan)
    assert verdict.good, verdict.details()


@pytest.mark.sanitizer
def test_without_any_fault_nothing_differs(tmp_path):
    plan = Plan(kills=0, stops=0, rollbacks=0, broker_restarts=0, seed=22)
    verdict = wall_form(tmp_path, events=5_000, clients=500, plan=plan, site=Site(processes=1), config={"engine": {"workers": 2}})
    assert verdict.good, verdict.details()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", (1, 2))
def test_the_long_form_with_the_wall_clock(tmp_path, seed):
    verdict = wall_form(tmp_path, events=200_000, clients=20_000, plan=Plan(seed=seed),
                        site=Site(static=seed % 2 == 0))
    assert verdict.good, verdict.details()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_long_form_with_the_clock_of_the_records(tmp_path):
    verdict = record_form(tmp_path, events=200_000, clients=20_000, plan=Plan(seed=3))
    assert verdict.good, verdict.details()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_where_there_are_several_of_everything(tmp_path):
    plan = Plan(kills=10, stops=3, rollbacks=0, broker_restarts=6, seed=4, rebalances=60, failovers=4, leader_moves=12, rolls=1,
                full_disks=2 if os.geteuid() == 0 else 0)
    verdict = wall_form(tmp_path, events=50_000, clients=5_000, plan=plan, site=Site(processes=3, brokers=3, sentinel=True))
    assert verdict.good, verdict.details()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_long_form_with_all_shipped_plays(tmp_path):
    verdict = plays_form(tmp_path, events=200_000, clients=20_000, plan=Plan(seed=4))
    assert verdict.good, verdict.details()


FAULT_BUILDS = [Path(path) for path in os.environ.get("RFMD_FAULT_BUILDS", "").split(":") if path]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("program", FAULT_BUILDS, ids=str)
def test_a_program_with_a_rule_left_out_is_seen(tmp_path, monkeypatch, program):
    """RFMD_FAULT_BUILDS: programs, with colons between, each with one rule of the protocol switched off."""
    monkeypatch.setenv("RFMD", str(program))
    for seed in range(30, 34):
        plan = Plan(kills=12, stops=3, rollbacks=8, broker_restarts=0, seed=seed, pause_s=(0.2, 1.2), session_s=4)
        verdict = wall_form(tmp_path / str(seed), events=30_000, clients=3_000, plan=plan)
        if verdict.lost or verdict.repeated or verdict.extra or verdict.wrong_states:
            return
    pytest.fail(f"{program} did nothing wrong under four seeds")
