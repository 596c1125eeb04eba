#!/usr/bin/env python3
"""Exactly once under fire, in any length. Exit 0: nothing lost, repeated, extra or wrong; 1: something was."""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.chaos import Plan  # noqa: E402
from harness.fire import Site, record_form, wall_form  # noqa: E402
from harness.plays import plays_form  # noqa: E402
from harness.rfmd import binary  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--form", choices=("wall", "record", "plays"), default="wall",
                        help="record: with the clock of the records, beside replay; plays: the same with all shipped plays")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--clients", type=int, help="default: a tenth of the events")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--broker-restarts", type=int, default=2)
    parser.add_argument("--swaps", type=int, default=0, help="Redis rolled back under an owner with a cold cache")
    parser.add_argument("--rebalances", type=int, default=0, help="a process, of those but the first, that leaves or comes back")
    parser.add_argument("--brokers", type=int, default=1, help="3: each has every partition, two must have a record")
    parser.add_argument("--leader-moves", type=int, default=0, help="half of all partitions, the coordinators' own among them")
    parser.add_argument("--rolling-restarts", type=int, default=0, help="of all brokers, one after the other")
    parser.add_argument("--disk-full", type=int, default=0, help="a broker without room for some seconds (needs root)")
    parser.add_argument("--sentinel", action="store_true", help="Redis with a replica and Sentinels; no --rollbacks, --swaps")
    parser.add_argument("--failovers", type=int, default=0, help="of Redis, each with the loss of its last writes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--static", action="store_true", help="static membership: a restart moves nothing")
    parser.add_argument("--folder", type=Path, help="keep logs and data here")
    parser.add_argument("--expect-red", action="store_true", help="the program has a fault built in: 0 if it is seen")
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    complaint = complain(given)
    if complaint:
        parser.error(complaint)
    return given


def complain(given: argparse.Namespace) -> str:
    several = given.leader_moves or given.rolling_restarts or given.disk_full
    if several and given.brokers < 2:
        return "--leader-moves, --rolling-restarts and --disk-full need --brokers 3"
    if given.failovers and not given.sentinel:
        return "--failovers needs --sentinel"
    if given.sentinel and (given.rollbacks or given.swaps):
        return "with --sentinel there are no --rollbacks and --swaps: a replica does not follow them"
    if given.disk_full and given.form != "wall":
        return "--disk-full needs --form wall: events may come twice, or in another order"
    if given.rebalances and given.processes < 2:
        return "--rebalances needs --processes 2 or more"
    return ""


def main() -> int:
    given = arguments()
    plan = Plan(given.kills, given.stops, given.rollbacks, given.broker_restarts, given.seed, swaps=given.swaps,
                rebalances=given.rebalances, failovers=given.failovers, leader_moves=given.leader_moves,
                rolls=given.rolling_restarts, full_disks=given.disk_full)
    site = Site(given.processes, given.partitions, given.brokers, given.sentinel, given.static)
    begin = time.monotonic()

    def say(text: str) -> None:
        if not given.quiet:
            print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="rfmd-fire-") as temporary:
        folder = given.folder or Path(temporary)
        form = {"wall": wall_form, "record": record_form, "plays": plays_form}[given.form]
        verdict = form(folder, given.events, given.clients or max(given.events // 10, 1), plan, site, say=say)
        print(verdict.details() if not verdict.good else verdict.summary())
        print(f"fire: form {given.form}, seed {given.seed}, {os.fspath(binary())}, {time.monotonic() - begin:.0f} s")
    return int(verdict.good if given.expect_red else not verdict.good)


if __name__ == "__main__":
    sys.exit(main())
