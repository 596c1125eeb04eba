#!/usr/bin/env python3
"""Reloads under load, in any length. Exit 0: nothing lost, doubled or extra, and each mistake was refused with its place."""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.reloads import reloads_under_load  # noqa: E402
from harness.rfmd import binary  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    parser.add_argument("--reloads", type=int, default=20, help="of which two of five have a mistake")
    parser.add_argument("--every", type=float, default=2.5, help="seconds between them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep logs and data here")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


def main() -> int:
    given, begin = arguments(), time.monotonic()

    def say(text: str) -> None:
        if not given.quiet:
            print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="rfmd-reload-") as temporary:
        result = reloads_under_load(given.folder or Path(temporary), given.rate, given.reloads, given.every, given.workers,
                                    given.partitions, given.seed, say)
        print(result.summary())
        print(f"reload: seed {given.seed}, {os.fspath(binary())}, {time.monotonic() - begin:.0f} s")
    return int(not result.good)


if __name__ == "__main__":
    sys.exit(main())
