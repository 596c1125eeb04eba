#!/usr/bin/env python3
"""rfmd run at a steady rate: memory, descriptors, latency by the minute; exit 1 if one of them drifts, up or down."""
import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.rfmd import binary  # noqa: E402
from harness.soak import Soak, run_soak  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--minutes", type=float, default=105)
    parser.add_argument("--warm-up", type=float, default=45,
                        help="minutes at the beginning that no slope looks at: caches, heaps and the broker's compiler settle")
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    parser.add_argument("--clients", type=int, default=100_000, help="a fixed population")
    parser.add_argument("--cache", default="8MiB",
                        help="engine.cache_bytes_max: far less than all clients take, so that their growth does not matter")
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--folder", type=Path, help="keep logs and samples here")
    parser.add_argument("--read", type=Path, help="no run: the samples of an earlier one (samples.ndjson)")
    given = parser.parse_args()
    if given.minutes <= given.warm_up:
        parser.error("--minutes must be more than --warm-up")
    return given


def main() -> int:
    given, begin = arguments(), time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="rfmd-soak-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if given.read:
            soak = Soak([json.loads(line) for line in given.read.read_text().splitlines()])
        else:
            soak = run_soak(folder, given.minutes, given.warm_up, given.rate, given.clients, given.cache, given.every, say)
    text, good = soak.report(given.warm_up * 60)
    print(text)
    print(f"{'GREEN' if good else 'RED'}: soak of {given.minutes:g} minutes at {given.rate} events/s, {given.clients} clients, "
          f"{binary()}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
