#!/usr/bin/env python3
"""Bytes of Redis for a client, all included: a year of `gen`'s shop in a redis-server that this program starts.

Usage: bench/redis_memory.py [--clients N] [--events N] [--build FOLDER] [--config FILE]

The states are those that the engine makes of the shop's events under the configuration; the program bench_redis_memory of
the build folder writes them. Printed are: what a packed state is made of, by kind of client; what a client takes of its bundle, by
kind (its id and its state, each with its lengths); what all keys of a kind take (MEMORY USAGE); and the growth of used_memory,
divided by the clients. Redis runs with the settings that docs/operating.md asks for; --plain: without them.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ["--hash-max-listpack-entries", "512", "--hash-max-listpack-value", "4096"]


def call(socket: str, *words: str, given: bytes | None = None) -> str:
    done = subprocess.run(["redis-cli", "-s", socket, *words], input=given, capture_output=True, check=True)
    return done.stdout.decode()


def used_memory(socket: str) -> int:
    line = next(line for line in call(socket, "INFO", "memory").splitlines() if line.startswith("used_memory:"))
    return int(line.split(":")[1])


def usage(socket: str, keys: list[str]) -> list[int]:
    asked = "".join(f"MEMORY USAGE {key} SAMPLES 0\n" for key in keys).encode()
    return [int(line) for line in call(socket, given=asked).split()]


def entry_bytes(length: int) -> int:
    """Of a listpack's string: its length in front (six bits, else twelve), and once more behind (seven bits each byte)."""
    held = length + (1 if length < 64 else 2 if length < 4096 else 5)
    return held + (1 if held < 128 else 2)


def fill(options, socket: str, clients: Path) -> None:
    events = options.events if options.events is not None else 10 * options.clients
    maker = subprocess.Popen([options.build / "bench_redis_memory", options.config, str(options.clients), str(events), clients],
                             stdout=subprocess.PIPE)
    subprocess.run(["redis-cli", "-s", socket, "--pipe"], stdin=maker.stdout, check=True, stdout=subprocess.DEVNULL)
    if maker.wait():
        sys.exit("bench_redis_memory failed")


def report(socket: str, each: Path, before: int) -> float:
    kinds = defaultdict(list)
    for line in each.read_text().splitlines():
        kind, id_len, state_len = line.split()
        kinds[kind].append(entry_bytes(int(id_len)) + entry_bytes(int(state_len)))
    clients = sum(map(len, kinds.values()))
    print(f"\n{'kind':<12} {'clients':>9} {'of its bundle':>14}")
    for kind, taken in [*sorted(kinds.items()), ("all", [one for taken in kinds.values() for one in taken])]:
        print(f"{kind:<12} {len(taken):>9} {sum(taken) / len(taken):>14.1f}")
    parts = defaultdict(list)
    for key in call(socket, "--scan").splitlines():
        name = key.split("}:", 1)[-1].split(":")[0] if "}:" in key else key
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
    parser.add_argument("--plain", action="store_true", help="a Redis without the settings that make bundles small")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis.sock"
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder,
                                   *([] if options.plain else SETTINGS)],
                                  stdout=subprocess.DEVNULL)
        try:
            while not Path(socket).exists():
                time.sleep(0.05)
            before = used_memory(socket)
            fill(options, socket, Path(folder) / "clients")
            report(socket, Path(folder) / "clients", before)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
