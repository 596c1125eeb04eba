#!/usr/bin/env python3
"""Records the world that a release leaves behind, for test_upgrade.py: tests/fixtures/world-RELEASE.json.gz."""
import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import bygone  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rfmd", type=Path, metavar="RFMD", help="the release's program")
    parser.add_argument("release", help="its number")
    given = parser.parse_args()
    os.environ["RFMD"] = str(given.rfmd.resolve())
    with tempfile.TemporaryDirectory(prefix="rfmd-world-") as folder:
        world = bygone.record(Path(folder), given.release)
    bygone.save(world, bygone.path_of(given.release))
    print(f"{bygone.path_of(given.release)}: {len(world['inputs'])} events, {len(world['wal'])} WAL records, "
          f"{len(world['clients'])} clients, {len(world['redis'])} keys, {world['triggers']} triggers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
