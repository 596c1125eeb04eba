"""`rfmd demo`: everything on this machine, and nothing left behind."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

from harness.process import free_port
from harness.rfmd import binary, run_command
from harness.waiting import wait_for

pytestmark = pytest.mark.rfmd
RULES = ("welcome", "thank_you", "win_back", "review_request")


class Demo:
    """The program with its temporary folders in one of ours, output to a file."""

    def __init__(self, folder, *arguments, **environment):
        self.folder, self.output = folder, folder / "output"
        self.child = subprocess.Popen([binary(), "demo", *map(str, arguments)], stdout=self.output.open("wb"),
                                      stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(folder), **environment})

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_text(self, pattern: str, timeout_s: float = 90) -> None:
        wait_for(f"'{pattern}' in the demo's output", lambda: re.search(pattern, self.text), timeout_s, 0.1, lambda: self.text)

    def exit_code(self, timeout_s: float = 120) -> int:
        return self.child.wait(timeout_s)

    @property
    def leftovers(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path.name.startswith("rfmd-demo-")]

    @property
    def redis_servers(self) -> list[int]:
        """Processes whose command names a path in our folder: other tests' demos run beside this one."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                command = open(f"/proc/{entry}/cmdline", "rb").read() if entry.isdigit() else b""
            except OSError:
                continue
            if b"redis-server" in command and os.fsencode(self.folder) in command:
                found.append(int(entry))
        return found


@pytest.fixture
def demo():
    """Starts a demo; its folder's path is short, for the socket in it."""
    made = []

    def start(*arguments, **environment) -> Demo:
        made.append(Demo(Path(tempfile.mkdtemp(prefix="d")), *arguments, **environment))
        return made[-1]

    yield start
    for each in made:
        each.child.kill()
        each.child.wait()
        shutil.rmtree(each.folder)


def test_shows_everything_and_ends_by_itself(demo):
    port = free_port()
    run = demo("--seconds", 12, "--clients", 1000, "--http", port)
    run.wait_text("Live traffic")
    assert run.redis_servers
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b"rfmd_events_total" in answer.read()
    assert run.exit_code() == 0, run.text
    for rule in RULES:
        assert re.search(rf"^\d\d:\d\d:\d\d  {rule} +c\d+ ", run.text, re.M), f"no {rule}\n{run.text}"
        assert int(re.search(rf"^  {rule} +([\d,]+)$", run.text, re.M)[1].replace(",", "")) > 0
    assert re.search(r"win_back .* code BACK-[0-9A-HJKMNP-TV-Z]{10}$", run.text, re.M)
    live = int(re.search(r"^  live events +([\d,]+)", run.text, re.M)[1].replace(",", ""))
    assert live > 1000 and " 0 dead letters" in run.text
    client = json.loads(next(line for line in run.text.splitlines() if line.startswith("{")))
    assert client["triggers"] and client["rfm"]
    assert re.search(r"^  champions +\d+ ", run.text, re.M) and re.search(r"^  lapsed +\d+ ", run.text, re.M)
    assert not run.leftovers and not run.redis_servers


def test_history_ends_in_redis_through_the_wal(demo, tmp_path):
    """Clients of whom nothing came live are as the history left them, for a command that only sees Redis."""
    run = demo("--seconds", 60, "--clients", 300, "--rate", 1, "--http", 0)
    run.wait_text("Live traffic")
    config = run.folder / run.leftovers[0] / "demo.yaml"
    done = run_command("client", "-c", config, "--all")
    assert done.returncode == 0, done.stderr
    clients = [json.loads(line) for line in done.stdout.splitlines()]
    told = re.search(r"history: ([\d,]+) events of (\d+) clients", run.text)
    assert len(clients) > 0.9 * int(told[2]) and sum(client["orders"] for client in clients) > 300
    assert {client["segment"] for client in clients} >= {"champions", "lost", "prospect"}
    assert any(trigger["rule"] == "win_back" for client in clients for trigger in client["triggers"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_summary(demo, number):
    run = demo("--clients", 200, "--seconds", 600, "--http", 0)
    run.wait_text("thank_you")
    run.child.send_signal(number)
    assert run.exit_code(25) == 0, run.text
    assert "Summary" in run.text and not run.leftovers


def test_a_signal_during_the_history(demo):
    run = demo("--clients", 20000, "--http", 0)
    run.wait_text("Kafka:")
    run.child.send_signal(signal.SIGINT)
    assert run.exit_code(10) == 0 and not run.leftovers


def test_killed_it_takes_its_redis_with_it(demo):
    run = demo("--clients", 200, "--seconds", 600, "--http", 0)
    run.wait_text("Live traffic")
    assert run.redis_servers
    run.child.kill()
    wait_for("Redis to end", lambda: not run.redis_servers, 5, 0.05)


def test_without_redis(demo):
    run = demo("--seconds", 5, PATH="/nonexistent")
    assert run.exit_code(20) == 3
    assert "redis-server" in run.text and "install" in run.text and not run.leftovers


def test_a_port_that_is_taken(demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = demo("--seconds", 5, "--http", taken.getsockname()[1])
        assert run.exit_code(20) == 3 and "--http" in run.text and not run.leftovers


def test_wrong_usage():
    for wrong in (["--seconds", 0], ["--clients", 5], ["--clients", 1000000], ["--rate", "fast"], ["--http", 70000], ["more"]):
        done = run_command("demo", *wrong)
        assert done.returncode == 2 and done.stderr and not done.stdout, wrong


def test_another_seed_is_another_shop(demo):
    first, second = (demo("--clients", 100, "--seconds", 1, "--http", 0, "--seed", seed) for seed in (1, 2))
    assert first.exit_code() == 0 and second.exit_code() == 0
    events = [re.search(r"history: ([\d,]+) events", run.text)[1] for run in (first, second)]
    assert events[0] != events[1]
