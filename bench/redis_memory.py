#!/usr/bin/env python3
"""Bytes of Redis for a client, all included: a year of `gen`'s shop in a redis-server that this program starts.

Usage: bench/redis_memory.py [--clients N] [--events N] [--build FOLDER] [--config FILE]

The states are those that the engine makes of the shop's events under the configuration; the program bench_redis_memory of
the build folder writes them. Printed are: what a packed state is made of, by kind of client; what a client's key takes by kind (MEMORY
USAGE, a sample); what all keys of a kind take; and the growth of used_memory, divided by the clients.
"""
import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = 3000


def call(socket: str, *words: str, given: bytes | None = None) -> str:
    done = subprocess.run(["redis-cli", "-s", socket, *words], input=given, capture_output=True, check=True)
    return done.stdout.decode()


def used_memory(socket: str) -> int:
    line = next(line for line in call(socket, "INFO", "memory").splitlines() if line.startswith("used_memory:"))
    return int(line.split(":")[1])


def usage(socket: str, keys: list[str]) -> list[int]:
    asked = "".join(f"MEMORY USAGE {key} SAMPLES 0\n" for key in keys).encode()
    return [int(line) for line in call(socket, given=asked).split()]


def fill(options, socket: str, ids: Path) -> None:
    events = options.events if options.events is not None else 10 * options.clients
    maker = subprocess.Popen([options.build / "bench_redis_memory", options.config, str(options.clients), str(events), ids],
                             stdout=subprocess.PIPE)
    subprocess.run(["redis-cli", "-s", socket, "--pipe"], stdin=maker.stdout, check=True, stdout=subprocess.DEVNULL)
    if maker.wait():
        sys.exit("bench_redis_memory failed")


def report(socket: str, ids: Path, before: int) -> float:
    kinds = defaultdict(list)
    for line in ids.read_text().splitlines():
        kind, key = line.split(" ", 1)
        kinds[kind].append(key)
    clients = sum(len(keys) for keys in kinds.values())
    print(f"\n{'kind':<12} {'clients':>9} {'bytes a key':>12}")
    for kind, keys in sorted(kinds.items()):
        chosen = random.Random(1).sample(keys, min(SAMPLE, len(keys)))
        print(f"{kind:<12} {len(keys):>9} {sum(usage(socket, chosen)) / len(chosen):>12.1f}")
    parts = defaultdict(list)
    for key in call(socket, "--scan").splitlines():
        name = key.split("}:", 1)[-1].split(":")[0] if "}:" in key else key
        if name != "c":
            parts[name].append(key)
    print(f"\n{'keys':<12} {'number':>9} {'bytes':>12} {'a client':>9}")
    for name, keys in sorted(parts.items()):
        total = sum(usage(socket, keys))
        print(f"{name:<12} {len(keys):>9} {total:>12} {total / clients:>9.2f}")
    mean = (used_memory(socket) - before) / clients
    print(f"\n{clients} clients of {call(socket, 'DBSIZE').strip()} keys: {mean:.1f} bytes each in used_memory, all included")
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, help="ten for each client, as `rfmd gen` has by default; 0: as they come")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--config", type=Path, default=ROOT / "conf" / "rfmd.yaml")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis.sock"
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
                                  stdout=subprocess.DEVNULL)
        try:
            while not Path(socket).exists():
                time.sleep(0.05)
            before = used_memory(socket)
            fill(options, socket, Path(folder) / "ids")
            report(socket, Path(folder) / "ids", before)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
