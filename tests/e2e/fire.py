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
from harness.fire import record_form, wall_form  # noqa: E402
from harness.plays import plays_form  # noqa: E402
from harness.rfmd import binary  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--form", choices=("wall", "record"), default="wall")
    parser.add_argument("--plays", action="store_true", help="all shipped plays, with the clock of the records")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--clients", type=int, help="default: a tenth of the events")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--broker-restarts", type=int, default=2)
    parser.add_argument("--swaps", type=int, default=0, help="Redis rolled back under an owner with a cold cache")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--static", action="store_true", help="static membership: a restart moves nothing")
    parser.add_argument("--folder", type=Path, help="keep logs and data here")
    parser.add_argument("--expect-red", action="store_true", help="the program has a fault built in: 0 if it is seen")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    plan = Plan(given.kills, given.stops, given.rollbacks, given.broker_restarts, given.seed, swaps=given.swaps)
    begin = time.monotonic()

    def say(text: str) -> None:
        if not given.quiet:
            print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="rfmd-fire-") as temporary:
        folder = given.folder or Path(temporary)
        form = plays_form if given.plays else wall_form if given.form == "wall" else record_form
        verdict = form(folder, given.events, given.clients or max(given.events // 10, 1), plan, given.processes,
                       given.partitions, static=given.static, say=say)
        print(verdict.details() if not verdict.good else verdict.summary())
        print(f"fire: form {'plays' if given.plays else given.form}, seed {given.seed}, {os.fspath(binary())}, {time.monotonic() - begin:.0f} s")
    return int(verdict.good if given.expect_red else not verdict.good)


if __name__ == "__main__":
    sys.exit(main())
