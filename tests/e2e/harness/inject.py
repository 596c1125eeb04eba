"""The real program with a library preloaded that makes allocations and system calls fail: tests/inject/inject.h."""
from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .rfmd import binary

NO_MEMORY = 3  # the exit code


def library() -> Path:
    return binary().parent / "rfmd_inject.so"


def environment(**variables) -> dict[str, str]:
    """What Popen's `env` has to hold besides: INJECT_<NAME> of each variable."""
    return {"LD_PRELOAD": str(library()), **{f"INJECT_{name.upper()}": str(value) for name, value in variables.items()}}


@dataclass
class Command:
    """A command of rfmd that ends; `arguments` with {out} where the folder of its outputs is to stand."""

    name: str
    arguments: list
    outputs: tuple = ()  # files in that folder
    env: dict = field(default_factory=dict)
    stdin: bytes = b""
    timeout_s: float = 60

    def run(self, folder: Path, env: dict | None = None) -> "Run":
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.outputs:
            (folder / name).unlink(missing_ok=True)
        command = [str(binary())] + [str(part).replace("{out}", str(folder)) for part in self.arguments]
        try:
            done = subprocess.run(command, capture_output=True, input=self.stdin, timeout=self.timeout_s,
                                  env={**os.environ, **self.env, **(env or {})})
        except subprocess.TimeoutExpired:
            return Run(None, b"", b"", {})
        files = {name: (folder / name).read_bytes() for name in self.outputs if (folder / name).exists()}
        return Run(done.returncode, done.stdout.replace(str(folder).encode(), b"{out}"), done.stderr, files)


@dataclass
class Run:
    code: int | None  # None: it hung
    stdout: bytes
    stderr: bytes
    files: dict[str, bytes]


def wrong_with(calm: Run, run: Run) -> str | None:
    """What a run with a fault did that it must not: end by a signal, hang, say nothing, or hand out something else as good."""
    said = run.stderr.decode(errors="replace").strip()
    if run.code is None:
        return "it hung"
    if run.code < 0:
        return f"signal {-run.code}: {said[-300:]}"
    if run.code == calm.code:
        if (run.stdout, run.files) != (calm.stdout, calm.files):
            return f"exit {run.code} with other output: {said[-300:]}"
        return None
    if run.code != NO_MEMORY:
        return f"exit {run.code}: {said[-300:]}"
    return None if said else "it ended without a word"


def fail_each_allocation(command: Command, folder: Path, depth: int = 3, step: int = 1, jobs: int = 2,
                         **variables) -> tuple[int, list[str]]:
    """Runs the command with one allocation failing, each time another, until none is left. Depth 0: every single one; else one
    of each place, places being those that differ in so many callers; of these each `step`-th. Returns how many failed and
    what went wrong."""
    calm = command.run(folder / "calm")
    assert calm.code == 0, f"{command.name}: exit {calm.code}\n{calm.stderr.decode(errors='replace')}"

    def attempt(number: int) -> tuple[bool, str | None]:
        own = folder / str(number // step % (2 * jobs))
        report = own / "faults"
        report.unlink(missing_ok=True)
        run = command.run(own, environment(alloc=number, alloc_stacks=depth, report=report, **variables))
        if not report.exists():
            return False, None
        wrong = wrong_with(calm, run)
        return True, wrong and f"{command.name}, allocation {number} ({report.read_text().strip()}): {wrong}"

    faults, wrong, number = 0, [], 1
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            results = list(pool.map(attempt, range(number, number + 2 * jobs * step, step)))
            faults += sum(struck for struck, _ in results)
            wrong += [text for _, text in results if text]
            number += 2 * jobs * step
            if not all(struck for struck, _ in results):
                return faults, wrong
