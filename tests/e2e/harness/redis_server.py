"""A redis-server that can lose its last seconds."""
from __future__ import annotations

import shutil
import signal
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .process import Process, free_port
from .waiting import wait_for


class RedisServer(Process):
    def __init__(self, folder: Path, password: str | None = None, **settings):
        self.folder = folder / "redis"
        self.folder.mkdir(parents=True)
        super().__init__("redis", self.folder / "redis.log")
        self.port, self.password, self.settings = free_port(), password, settings
        # A unix socket's path may have 107 bytes: not in a test's own folder.
        self._socket_folder = tempfile.TemporaryDirectory(prefix="rfmd-redis-")
        self.socket = f"{self._socket_folder.name}/s"
        self.snapshots: list[tuple[float, Path]] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, **options) -> redis.Redis:
        options = {"socket_timeout": 10, "password": self.password, **options}
        return redis.Redis(unix_socket_path=self.socket, retry=Retry(NoBackoff(), 0), **options)

    def start(self, wait: bool = True) -> "RedisServer":
        settings = {"port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket, "dir": self.folder, "save": "",
                    "appendonly": "no", "maxmemory-policy": "noeviction", "hash-max-listpack-value": 4096,
                    "hash-max-listpack-entries": 512, "daemonize": "no", "enable-debug-command": "yes",
                    **self.settings}
        if self.password:
            settings["requirepass"] = self.password
        command = ["redis-server"]
        for name, value in settings.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self.spawn(command, cwd=self.folder)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s: float = 20) -> None:
        def answers():
            assert self.running, self.log_tail()
            try:
                return self.client().ping()
            except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
                return False

        wait_for("redis", answers, timeout_s, 0.02, self.log_tail)

    def stop(self) -> None:
        self.resume()
        self.send(signal.SIGTERM)
        if self.child is not None:
            self.child.wait(20)

    def snapshot(self) -> Path:
        """Saves, keeps a copy, and returns it."""
        self.client().save()
        copy = self.folder / f"snapshot-{len(self.snapshots)}.rdb"
        shutil.copyfile(self.folder / "dump.rdb", copy)
        self.snapshots.append((time.monotonic(), copy))
        return copy

    def roll_back(self, snapshot: Path | None, down_s: float = 0.0) -> None:
        """kill -9, and started again from the snapshot (None: with nothing at all)."""
        self.kill()
        if snapshot is None:
            (self.folder / "dump.rdb").unlink(missing_ok=True)
        else:
            shutil.copyfile(snapshot, self.folder / "dump.rdb")
        time.sleep(down_s)
        self.start()

    def swap(self, snapshot: Path) -> None:
        """The data of the snapshot in place of the present one, while everybody stays connected."""
        shutil.copyfile(snapshot, self.folder / "dump.rdb")
        self.client().execute_command("DEBUG", "RELOAD", "NOSAVE")

    def config_set(self, **settings) -> None:
        for name, value in settings.items():
            self.client().config_set(name.replace("_", "-"), value)
