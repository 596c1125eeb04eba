"""Bad weather on the network between rfmd and the broker, and between rfmd and Redis. RFM_INJECT=all: more seeds and longer."""
import os
import time

import pytest

from harness import Cluster, KafkaBroker, RedisServer, wait_for
from harness.proxy import Proxy, Weather
from harness.story import STORY_RULES, Story

pytestmark = pytest.mark.rfmd
ALL = os.environ.get("RFM_INJECT") == "all"
SEEDS, OVER_S, EVENTS = (range(1, 11), 60, 30_000) if ALL else (range(1, 2), 8, 4_000)
if ALL:
    pytestmark = [pytestmark, pytest.mark.timeout(7200)]


@pytest.fixture
def proxied(tmp_path):
    """A cluster whose rfmd reaches broker and Redis only through proxies; the tests go past them."""
    kafka, redis = Proxy(1), Proxy(2)
    broker = KafkaBroker(tmp_path, proxied=kafka.port).start()
    server = RedisServer(tmp_path).start()
    kafka.start(broker.second_port)
    redis.start(server.port)
    live = Cluster(tmp_path / "cluster", processes=2, rules=STORY_RULES, broker=broker, redis=server, config={
        "kafka": {"brokers": f"127.0.0.1:{kafka.port}", "consumer": {"session.timeout.ms": "6000"},
                  "properties": {"socket.timeout.ms": "3000", "reconnect.backoff.max.ms": "500"}},
        "redis": {"url": f"redis://127.0.0.1:{redis.port}/0", "timeout": "1s"}})
    live.proxies = [kafka, redis]
    yield live
    live.__exit__()
    for proxy in live.proxies:
        proxy.stop()
    server.kill()
    broker.kill()


@pytest.mark.parametrize("seed", SEEDS)
def test_weather(proxied, seed):
    live = proxied.start()
    assert all(proxy.accepted > 0 for proxy in live.proxies)
    story, weather = Story(live, EVENTS, EVENTS // 10, seed=seed), Weather(live.proxies, seed)
    sender = story.tell(1.0, over_s=OVER_S, wait=False)
    weather.start()
    while sender.is_alive():
        sender.join(0.2)
        for process in live.processes:
            assert process.running, f"{weather.journal}\n{process.log_tail()}"
            assert process.get("/livez")[0] == 200, process.log_tail()
    weather.end()
    story.told(sender).check(180)
    print(len(weather.journal), "faults", weather.journal)
