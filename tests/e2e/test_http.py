"""The probes and the metrics."""
import http.client
import json
import re

import pytest

from harness import wait_for
from harness.story import STORY_RULES, Story

pytestmark = pytest.mark.rfmd
SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\.)*",?)*\})? (NaN|[+-]Inf|[-+0-9.eE]+)')


def test_probes_and_metrics(cluster):
    live = cluster(rules=STORY_RULES).start()
    process = live.processes[0]
    assert process.get("/livez")[0] == 200 and process.get("/readyz")[0] == 200
    story = Story(live, 1000, 100).rest()
    live.wait_consumed()
    world = story.world()

    def counted():
        total = process.metric("rfmd_events_total")
        return total and sum(v for k, v in process.metrics().items() if k.startswith("rfmd_triggers_total")) == len(world.sent)

    wait_for("the counters", counted, 10, 0.2, lambda: process.get("/metrics")[1])
    check_exposition(process.get("/metrics")[1])
    samples = process.metrics()
    purchases = sum(value for name, value in samples.items()
                    if name.startswith("rfmd_events_total{") and 'type="purchase"' in name)
    accepted = sum(outcome.rule == "thank_you" for outcome in world.sent)
    assert purchases == accepted and samples["rfmd_repeats_total"] == world.repeats
    dead = [(name, value) for name, value in samples.items() if name.startswith("rfmd_dead_letters_total{")]
    assert sum(value for _, value in dead) == len(world.dead_letters) and all("reason=" in name for name, _ in dead)
    thanked = sum(value for name, value in samples.items()
                  if name.startswith("rfmd_triggers_total{") and 'rule="thank_you"' in name)
    assert thanked == accepted
    assert process.stop() == 0


def check_exposition(body: str) -> None:
    """Prometheus's text format: each family with its type, each sample once."""
    types, seen = {}, set()
    assert body.endswith("\n")
    for line in body.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram", "summary")
            types[name] = kind
        elif line and not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            name = line.rpartition(" ")[0]
            assert name not in seen, f"{name} twice"
            seen.add(name)
            family = name.split("{")[0]
            assert family.startswith("rfmd_")
            bare = re.sub(r"_(bucket|sum|count)$", "", family)
            assert family in types or bare in types, f"{family} has no type"
            if types.get(family) == "counter":
                assert family.endswith("_total")
    for family in ("rfmd_events_total", "rfmd_dead_letters_total", "rfmd_triggers_total"):
        assert types.get(family) == "counter"
    for wanted in ("lag", "redis", "step", "commit", "timers", "rebalances", "cache", "memory"):
        assert any(wanted in name for name in types), f"no metric of {wanted}"


def test_what_is_not_there(cluster):
    live = cluster().start()
    process = live.processes[0]
    status, body = process.get("/nothing")
    assert status == 404 and '"status"' in body
    assert process.get("/metrics?x=1")[0] == 200
    problem = "application/problem+json"
    for method, path, expected, kind in (("HEAD", "/metrics", 200, "text/plain"), ("POST", "/metrics", 405, problem),
                                         ("DELETE", "/livez", 405, problem), ("HEAD", "/readyz", 200, "application/json"),
                                         ("GET", "/metrics/", 404, problem)):
        status, headers, body = asked(process.port, method, path)
        assert (status, headers["Content-Type"].split(";")[0]) == (expected, kind), path
        assert (headers["Allow"] is not None) == (expected == 405)
        if kind == problem:
            assert json.loads(body).keys() >= {"type", "title", "status"} and json.loads(body)["status"] == expected
        assert method != "HEAD" or body == b""


def asked(port: int, method: str, path: str):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_ready_only_while_joined(cluster):
    live = cluster().start()
    process = live.processes[0]
    process.pause()
    process.resume()
    process.wait_ready()
    live.redis.kill()
    assert process.get("/livez")[0] == 200
    live.redis.start()
    process.wait_ready()
