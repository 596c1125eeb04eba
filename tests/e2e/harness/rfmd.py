"""rfmd as a process, and its commands."""
from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from reference.decode import time_text
from reference.scores import Settings

from .process import Process, free_port
from .waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
INPUTS = ("purchases", "visits", "messages")
MODEL = {"model": "mbg_nbd", "unit": "week", "r": 0.52484, "alpha": 6.1831, "a": 0.89135, "b": 1.61399, "evidence_cap": 5}


def binary() -> Path:
    return Path(os.environ.get("RFMD") or ROOT / "build" / "release" / "rfmd").resolve()


def merged(base: dict, *overrides: dict | None) -> dict:
    """`base` with the overrides put over it, level by level; a None removes its key."""
    result = copy.deepcopy(base)
    for override in overrides:
        for key, value in (override or {}).items():
            if value is None:
                result.pop(key, None)
            elif isinstance(value, dict) and isinstance(result.get(key), dict):
                result[key] = merged(result[key], value)
            else:
                result[key] = copy.deepcopy(value)
    return result


def base_config(folder: Path, rules: dict | list | None = None, model: dict | None = None) -> dict:
    """A configuration with fixed scores, whose model and rules are files in `folder`; brokers and url to be filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(model or MODEL))
    document = rules if isinstance(rules, dict) else {"rules": rules or []}
    (folder / "rules.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return {
        "kafka": {
            "brokers": "127.0.0.1:9", "group": "rfmd-test",
            "inputs": {name: {"topic": name, "format": "native"} for name in INPUTS},
            "wal": "rfmd-wal", "dead_letters": "rfmd-dead-letters", "audit": "rfmd-audit",
            "consumer": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"},
        },
        "redis": {"url": "redis://127.0.0.1:9/0", "prefix": "rfm"},
        "engine": {"workers": 1, "clock": "wall"},
        "money": {"base_currency": "EUR"},
        "rfm": {"r": "fixed", "f": "fixed", "m": "fixed"},
        "churn": {"horizon": "90d"},
        "traits": {name: {"type": kind} for name, kind in Settings().traits.items()},
        "model": str(folder / "model.yaml"),
        "rules": [str(folder / "rules.yaml")],
        "http": {"listen": "127.0.0.1:9"},
        "log": {"level": "info", "format": "logfmt"},
    }


def write_config(path: Path, config: dict) -> Path:
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def run_command(*arguments, timeout_s: float = 120, env: dict | None = None, stdin: bytes | None = None):
    """Runs `rfmd arguments...` to its end."""
    command = [str(binary()), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, timeout=timeout_s, env={**os.environ, **(env or {})},
                          input=stdin if stdin is not None else b"")


def client_all(config: Path, as_of: str | int | None = None, timeout_s: float = 180) -> list[dict]:
    """`rfmd client --all`, by client id."""
    return [json.loads(line) for line in client_lines(config, as_of, timeout_s)]


def _moment(time: str | int) -> str:
    """RFC 3339; integers are ms since 1970."""
    return time_text(time) if isinstance(time, int) else time


def client_lines(config: Path, as_of: str | int | None = None, timeout_s: float = 180) -> list[bytes]:
    arguments = ["client", "-c", config, "--all"] + ([] if as_of is None else ["--as-of", _moment(as_of)])
    done = run_command(*arguments, timeout_s=timeout_s)
    assert done.returncode == 0, f"rfmd client: exit {done.returncode}\n{done.stderr.decode(errors='replace')}"
    return done.stdout.splitlines()


def replay(config: Path, events: list[Path], folder: Path, until: str | int | None = None, *more,
           timeout_s: float = 300) -> dict[str, list[bytes]]:
    """`rfmd replay`: its four outputs as lines."""
    names = ("triggers", "audit", "dead-letters", "clients")
    arguments = ["replay", "-c", config, "--events", *events]
    for name in names:
        arguments += [f"--{name}", folder / f"replay-{name}.ndjson"]
    done = run_command(*arguments, *(["--until", _moment(until)] if until is not None else []), *more, timeout_s=timeout_s)
    assert done.returncode == 0, f"rfmd replay: exit {done.returncode}\n{done.stderr.decode(errors='replace')}"
    return {name: (folder / f"replay-{name}.ndjson").read_bytes().splitlines() for name in names}


def report(config: Path, *more) -> dict:
    """`rfmd report` on the live Redis."""
    done = run_command("report", "-c", config, "--format", "json", *more)
    assert done.returncode == 0, f"rfmd report: exit {done.returncode}\n{done.stderr.decode(errors='replace')}"
    return json.loads(done.stdout)


class Rfmd(Process):
    """`rfmd run` with a configuration file of its own; what differs between processes is its port and instance id."""

    def __init__(self, folder: Path, name: str, config: dict, instance_id: str | None = None, env: dict | None = None):
        super().__init__(name, folder / f"{name}.log")
        self.port, self.env = free_port(), env or {}
        self.program: Path | None = None  # None: the program under test
        kafka = {"instance_id": instance_id} if instance_id else {}
        self.config = merged(config, {"http": {"listen": f"127.0.0.1:{self.port}"}, "kafka": kafka})
        self.config_path = write_config(folder / f"{name}.yaml", self.config)

    def start(self, wait: bool = True, timeout_s: float = 60) -> "Rfmd":
        self.spawn([str(self.program or binary()), "run", "-c", str(self.config_path)], env={**os.environ, **self.env})
        if wait:
            self.wait_ready(timeout_s)
        return self

    def get(self, path: str, timeout_s: float = 3) -> tuple[int, str]:
        """Status and body; status 0: nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_ready(self, timeout_s: float = 60) -> None:
        def probe():
            assert self.running, f"{self.name} ended with {self.child.returncode}\n{self.log_tail()}"
            return self.ready

        wait_for(f"/readyz of {self.name}", probe, timeout_s, 0.05, self.log_tail)

    def wait_not_ready(self, timeout_s: float = 30) -> None:
        wait_for(f"/readyz of {self.name} to turn false", lambda: not self.ready, timeout_s, 0.05, self.log_tail)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def stop(self, timeout_s: float = 25) -> int:
        """SIGTERM; the exit code, which has to come within the promised 25 s."""
        self.resume()
        self.terminate()
        return self.exit_code(timeout_s)

    def metrics(self) -> dict[str, float]:
        status, body = self.get("/metrics")
        assert status == 200, f"/metrics answered {status}"
        samples = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, prefix: str) -> float:
        """The sum of all samples of a metric."""
        return sum(value for name, value in self.metrics().items() if name.split("{")[0] == prefix)
