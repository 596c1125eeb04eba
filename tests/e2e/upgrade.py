#!/usr/bin/env python3
"""A rolling upgrade from one program to another, under load and with both in the group; a kill, a Redis from the old days, and
a step back. Exit 0: nothing lost, repeated, extra or wrong; 1: something was."""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.upgrade import rolling  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD_RFMD")
    parser.add_argument("new", type=Path, metavar="NEW_RFMD")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--clients", type=int, help="default: a tenth of the events")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=75, help="the events are spread over so long")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="keep logs and data here")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    begin = time.monotonic()
    os.environ["RFMD"] = str(given.new.resolve())  # for the commands that look at the result

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="rfmd-upgrade-") as temporary:
        verdict = rolling(given.folder or Path(temporary), given.old.resolve(), given.new.resolve(), given.events,
                          given.clients or max(given.events // 10, 1), given.seed, given.processes, given.partitions,
                          given.seconds, say)
        print(verdict.details() if not verdict.good else verdict.summary())
    return int(not verdict.good)


if __name__ == "__main__":
    sys.exit(main())
