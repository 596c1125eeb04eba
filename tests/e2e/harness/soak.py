"""rfmd at a steady rate for long: samples of what it uses, and whether any of it drifts."""
from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from .broker import KafkaBroker
from .cluster import Cluster
from .process import Process
from .rfmd import ROOT, binary
from .slope import Slope, slope
from .waiting import Timeout, wait_for

MIB = 1 << 20
SURGE_S = 7  # less than the transaction time-out
SHIPPED = ("welcome", "thank_you", "review_request", "win_back", "abandoned_cart", "policies")
REMINDER = {"name": "reminder", "on": {"event": "visit"}, "when": 'event.action == "begin_checkout"', "delay": "60s",
            "restart": True, "cancel_on": ["purchase"], "class": "transactional", "channels": ["email"],
            "template": "reminder", "topic": "triggers"}
# What has been read goes soon, so that the disk does not fill. Internal topics are compacted and keep theirs.
BROKER = {"log.retention.ms": 180_000, "log.segment.bytes": 64 * MIB, "log.retention.check.interval.ms": 10_000,
          "log.segment.delete.delay.ms": 1_000}


@dataclass(frozen=True)
class Series:
    """A figure by the minute, and how much of a rise within an hour does not matter."""

    name: str
    unit: str
    tolerance: float  # in the unit; relative: a share of the mean
    relative: bool = False

    def allowed(self, found: Slope) -> float:
        return self.tolerance * found.mean if self.relative else self.tolerance


JUDGED = (Series("rss", "MiB", 2), Series("allocated", "MiB", 2), Series("descriptors", "", 0.5), Series("threads", "", 0.5),
          Series("p50_ms", "ms", 0.25, True), Series("p99_ms", "ms", 0.25, True), Series("lag", "records", 2000))
SHOWN = (Series("cache", "MiB", 0), Series("dirty", "MiB", 0), Series("cpu_us", "us an event", 0), Series("rate", "events/s", 0),
         Series("steps", "a second", 0), Series("redis", "MiB", 0), Series("broker", "MiB", 0), Series("load", "", 0))


def soak_config(folder: Path, cache: str) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "promo-secret").write_text("a secret of the soak")
    (folder / "reminder.yaml").write_text(json.dumps({"rules": [REMINDER]}))
    return {"kafka": {"consumer": {"session.timeout.ms": "45000", "heartbeat.interval.ms": "3000"}},
            "promo": {"secret_file": str(folder / "promo-secret")}, "engine": {"cache_bytes_max": cache},
            "rules": [*(str(ROOT / "conf" / "rules" / f"{name}.yaml") for name in SHIPPED), str(folder / "reminder.yaml")],
            "rfm": {"r": "population", "f": "fixed", "m": "population", "refresh": "5m"}}


class Traffic(Process):
    """bench_e2e_steady: says how many events it sent once its input ends."""

    def __init__(self, cluster: Cluster, folder: Path, rate: int, clients: int):
        super().__init__("traffic", folder / "traffic.log")
        program = binary().parent / "bench_e2e_steady"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([str(program), cluster.broker.address, str(rate), str(clients)],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def end(self) -> int:
        output, _ = self.child.communicate(timeout=120)
        assert self.child.returncode == 0, self.log_tail()
        return int(output)


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def surge(cluster: Cluster, for_s: float) -> None:
    """What has waited comes in steps as large as they get: whoever has done them has taken all memory that he will need."""
    for _ in range(2):
        cluster.processes[0].pause()
        time.sleep(for_s)
        cluster.processes[0].resume()
        wait_for("rfmd to catch up", lambda: cluster.processes[0].ready and caught_up(cluster), 120, 1.0)


def caught_up(cluster: Cluster) -> bool:
    return cluster.processes[0].metric("rfmd_lag_records") < 1000


def take_sample(cluster: Cluster) -> dict:
    """Counters and gauges as they are now; latency: the histogram's buckets."""
    rfmd = cluster.processes[0]
    metrics = rfmd.metrics()

    def total(metric: str) -> float:
        return sum(value for name, value in metrics.items() if name.split("{")[0] == metric)

    latency = {name.split('le="')[1].split('"')[0]: value for name, value in metrics.items()
               if name.startswith("rfmd_latency_seconds_bucket")}
    return {"at": time.monotonic(), "rss": _status_kib(rfmd.pid, "VmRSS") / 1024,
            "allocated": metrics.get('rfmd_memory_bytes{kind="allocated"}', 0) / MIB,
            "threads": _status_kib(rfmd.pid, "Threads"), "descriptors": len(os.listdir(f"/proc/{rfmd.pid}/fd")),
            "cpu": time.clock_gettime((~rfmd.pid << 3) | 2), "latency": latency, "lag": total("rfmd_lag_records"),
            "cache": total("rfmd_cache_bytes") / MIB, "dirty": total("rfmd_dirty_bytes") / MIB,
            "events": total("rfmd_events_total") + total("rfmd_repeats_total"),
            "steps": total("rfmd_steps_total"), "aborts": total("rfmd_aborts_total"),
            "redis": _status_kib(cluster.redis.pid, "VmRSS") / 1024, "broker": _status_kib(cluster.broker.pid, "VmRSS") / 1024,
            "load": os.getloadavg()[0]}


def quantile(earlier: dict, later: dict, q: float) -> float:
    """Seconds, evenly spread within the bucket, of what was observed between two samples."""
    bounds = sorted(((float(bound), later[bound] - earlier.get(bound, 0)) for bound in later))
    wanted, below, begin = q * bounds[-1][1], 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted and count > below:
            return begin + (min(bound, 120.0) - begin) * (wanted - below) / (count - below)
        below, begin = count, bound
    return 0.0


def between(first: dict, last: dict, inside: list[dict]) -> dict:
    """One row: means of gauges, rates of counters, quantiles of what happened between the samples."""
    passed_s = last["at"] - first["at"]
    events = last["events"] - first["events"]
    row = {name: sum(sample[name] for sample in inside) / len(inside)
           for name in ("rss", "allocated", "threads", "descriptors", "lag", "cache", "dirty", "redis", "broker", "load")}
    return {**row, "at": (first["at"] + last["at"]) / 2, "p50_ms": quantile(first["latency"], last["latency"], 0.5) * 1e3,
            "p99_ms": quantile(first["latency"], last["latency"], 0.99) * 1e3, "rate": events / passed_s,
            "cpu_us": (last["cpu"] - first["cpu"]) / max(events, 1) * 1e6, "steps": (last["steps"] - first["steps"]) / passed_s}


def rows_of(samples: list[dict], every_s: float) -> list[dict]:
    rows, begin = [], 0
    for number, sample in enumerate(samples):
        if sample["at"] - samples[begin]["at"] >= every_s:
            rows.append(between(samples[begin], sample, samples[begin + 1:number + 1]))
            begin = number
    return rows


@dataclass
class Soak:
    """What a run left: samples, and complaints beside its slopes."""

    samples: list[dict] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def report(self, warm_up_s: float) -> tuple[str, bool]:
        begin = self.samples[0]["at"]
        settled = [sample for sample in self.samples if sample["at"] - begin >= warm_up_s]
        span_s = settled[-1]["at"] - settled[0]["at"]
        lines, good = self._slopes(rows_of(settled, min(60.0, span_s / 12)))
        lines += ["", *self._quarters(span_s + warm_up_s)]
        lines += [f"wrong: {text}" for text in self.wrong]
        return "\n".join(lines), good and not self.wrong

    @staticmethod
    def _slopes(rows: list[dict]) -> tuple[list[str], bool]:
        lines, good = [f"{'':12} {'mean':>10} {'an hour':>11} {'95 %':>11} {'tolerated':>10}"], True
        for series in (*JUDGED, *SHOWN):
            found = slope([row["at"] for row in rows], [row[series.name] for row in rows])
            judged = series in JUDGED
            bad = judged and found.beyond(series.allowed(found))
            good = good and not bad
            verdict = "RISES" if bad and found.an_hour > 0 else "FALLS" if bad else "not 0" if found.from_zero else "0"
            allowed = f"{series.allowed(found):10.2f}" if judged else f"{'':10}"
            lines.append(f"{series.name:12} {found.mean:10.2f} {found.an_hour:+11.3f} +-{found.half:9.3f} {allowed}  {verdict:6}"
                         f" {series.unit}")
        return lines, good

    def _quarters(self, span_s: float) -> list[str]:
        names = ("p50_ms", "p99_ms", "rss", "allocated", "cpu_us", "rate", "lag", "redis", "load")
        lines = [" ".join([f"{'minutes':>9}", *(f"{name:>9}" for name in names)])]
        for row in rows_of(self.samples, min(900.0, span_s / 4 - 1)):
            minutes = (row["at"] - self.samples[0]["at"]) / 60
            lines.append(" ".join([f"{minutes:9.1f}", *(f"{row[name]:9.1f}" for name in names)]))
        return lines


def run_soak(folder: Path, minutes: float, warm_up: float, rate: int, clients: int, cache: str, every_s: float,
             say=lambda text: None) -> Soak:
    soak, broker = Soak(), KafkaBroker(folder, BROKER)
    try:
        with open(folder / "samples.ndjson", "w") as kept, \
                Cluster(folder, partitions=4, broker=broker, config=soak_config(folder, cache)) as cluster:
            cluster.start()
            traffic = Traffic(cluster, folder, rate, clients)
            try:
                _watch(soak, cluster, traffic, minutes * 60, warm_up * 60, every_s, kept, say)
                _finish(soak, cluster, traffic.end())
            finally:
                traffic.kill()
    finally:
        broker.kill()
    return soak


def _watch(soak: Soak, cluster: Cluster, traffic: Traffic, for_s: float, warm_up_s: float, every_s: float, kept, say) -> None:
    begin, calm = time.monotonic(), True
    while (passed_s := time.monotonic() - begin) < for_s:
        time.sleep(max(0.0, min(every_s, for_s - passed_s)))
        if calm and passed_s > warm_up_s / 2:
            calm = False
            say("a surge: rfmd stands still and catches up")
            surge(cluster, SURGE_S)
        for process in (cluster.processes[0], traffic):
            assert process.running, process.log_tail()
        soak.samples.append(take_sample(cluster))
        kept.write(json.dumps(soak.samples[-1]) + "\n")
        kept.flush()
        if int(passed_s / 60) != int((time.monotonic() - begin) / 60):
            one = soak.samples[-1]
            say(f"{one['events']:.0f} events, RSS {one['rss']:.1f} MiB, lag {one['lag']:.0f}, load {one['load']:.1f}")


def _finish(soak: Soak, cluster: Cluster, sent: int) -> None:
    """Everything that was sent has been counted, once unless a transaction was aborted; the program ends as it should."""
    rfmd = cluster.processes[0]
    cluster.wait_consumed(120)

    def counted() -> float:
        return rfmd.metric("rfmd_events_total") + rfmd.metric("rfmd_repeats_total")

    try:
        wait_for("all events to be counted", lambda: counted() >= sent, 20, 0.5)
        wait_for("Redis to have everything", lambda: rfmd.metric("rfmd_dirty_bytes") == 0, 60, 0.5)
    except Timeout as timeout:
        soak.wrong.append(str(timeout))
    if counted() != sent and rfmd.metric("rfmd_aborts_total") == 0:
        soak.wrong.append(f"{sent} events were sent and {counted():.0f} counted")
    soak.wrong += [] if (code := rfmd.stop()) == 0 else [f"rfmd ended with {code}\n{rfmd.log_tail()}"]
