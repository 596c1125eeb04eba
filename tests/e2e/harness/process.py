"""A child process with its log in a file, and free ports."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

_WORKERS_MAX, _RANGE = 8, 2_500
_given: set[int] = set()


def _worker() -> int:
    """0 if this is the only process that runs tests."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_port() -> int:
    """A loopback port that nobody listens on and that this process has not been given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # Below the ephemeral range other sockets cannot take it by chance between a stop and a restart; each of the
        # processes that run tests side by side has a range of its own.
        port = 10_000 + _RANGE * (_worker() % _WORKERS_MAX) + port % _RANGE
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


class Process:
    def __init__(self, name: str, log: Path):
        self.name, self.log = name, log
        self.child: subprocess.Popen | None = None
        self._log_begin = 0

    def spawn(self, command: list[str], **options) -> None:
        assert not self.running, f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self._log_begin = log.tell()
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    @property
    def is_silent(self) -> bool:
        """It has written nothing to its log since it was started."""
        return self.log.stat().st_size == self._log_begin

    @property
    def pid(self) -> int:
        return self.child.pid

    def send(self, number: int) -> None:
        if self.running:
            os.kill(self.child.pid, number)

    def kill(self) -> None:
        """kill -9, also when stopped by SIGSTOP; returns when it is gone."""
        if self.child is not None:
            self.send(signal.SIGKILL)
            self.child.wait()

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def exit_code(self, timeout_s: float) -> int:
        try:
            return self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended within {timeout_s:g} s\n{self.log_tail()}") from None

    def takes(self, number: int) -> bool:
        """Whether it has got as far as to take this signal itself: right after its start it is killed by it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
        return bool(int(blocked, 16) >> (number - 1) & 1)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        tail = self.log_text().splitlines()[-lines:]
        return "\n".join([f"--- end of the log of {self.name} ({self.log})", *tail])
