"""Bad weather on the network between rfmd and the broker, and between rfmd and Redis. RFM_INJECT=all: more seeds and longer."""
import os
import time

import pytest

from harness import Cluster, KafkaBroker, RedisServer, wait_for
from harness.proxy import KafkaProxy, Proxy, Weather
from harness.rfmd import merged, write_config
from harness.story import STORY_RULES, Story

pytestmark = [pytest.mark.rfmd, pytest.mark.xdist_group("proxied")]  # one broker for those of the second half
ALL = os.environ.get("RFM_INJECT") == "all"
SEEDS, OVER_S, EVENTS = (range(1, 11), 60, 30_000) if ALL else (range(1, 2), 8, 4_000)
if ALL:
    pytestmark.append(pytest.mark.timeout(7200))


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


def test_the_way_to_the_broker_is_too_slow_for_a_large_step(proxied):
    """Read fast and written slowly, as with a quota: a step of the backlog's size would time out for ever."""
    live, kafka = proxied, proxied.proxies[0]
    for process in live.processes:
        write_config(process.config_path, merged(process.config, {"kafka": {"producer": {"transaction.timeout.ms": "5000"}}}))
    story = Story(live, 4_000, 400)
    live.start()
    kafka.upward_bytes_per_s = 20_000
    story.tell(1.0)
    live.wait_consumed(120)
    aborts = sum(process.metrics()["rfmd_aborts_total"] for process in live.processes)
    kafka.upward_bytes_per_s = None
    assert aborts > 0, "no step was too large"
    story.check()


# -- each kind of request: lost, its answer lost, refused

KINDS = ("Produce", "Fetch", "ListOffsets", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat", "SyncGroup",
         "InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit")
# Those that a member with something to do makes again and again.
ALWAYS = {"Produce", "Fetch", "Heartbeat", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit"}
# Codes of Kafka's protocol: COORDINATOR_LOAD_IN_PROGRESS 14, COORDINATOR_NOT_AVAILABLE 15, NOT_COORDINATOR 16,
# ILLEGAL_GENERATION 22, UNKNOWN_MEMBER_ID 25, REBALANCE_IN_PROGRESS 27, GROUP_AUTHORIZATION_FAILED 30,
# INVALID_PRODUCER_EPOCH 47, INVALID_TXN_STATE 48, INVALID_PRODUCER_ID_MAPPING 49, CONCURRENT_TRANSACTIONS 51,
# TRANSACTIONAL_ID_AUTHORIZATION_FAILED 53, PRODUCER_FENCED 90, UNKNOWN_SERVER_ERROR -1.
REFUSALS = {"EndTxn": (14, 15, 16, 51, 47, 48, 49, 90, -1), "AddOffsetsToTxn": (14, 15, 16, 51, 47, 48, 49, 90, -1),
            "InitProducerId": (14, 15, 16, 51, -1), "Heartbeat": (15, 16, 22, 25, 27), "JoinGroup": (14, 15, 16, 25),
            "SyncGroup": (15, 16, 22, 25, 27)}
# Who is fenced makes a new producer; who hears of a rebalance joins again.
BROUGHT_ABOUT = {"InitProducerId": ("EndTxn", 90), "JoinGroup": ("Heartbeat", 27), "SyncGroup": ("Heartbeat", 27)}
# What no retry mends: rfmd stops and says why.
FATAL = {"EndTxn": (53,), "AddOffsetsToTxn": (30, 53), "InitProducerId": (53,)}


@pytest.fixture(scope="module")
def kafka_proxy(tmp_path_factory):
    proxy = KafkaProxy()
    broker = KafkaBroker(tmp_path_factory.mktemp("proxied"), proxied=proxy.port).start()
    proxy.start(broker.second_port)
    proxy.broker = broker
    yield proxy
    proxy.stop()
    broker.kill()


@pytest.fixture
def one_by_one(tmp_path, kafka_proxy):
    """A cluster of one process behind the proxy that knows requests; topics and group of its own."""
    made = []

    def make(tag: str) -> Cluster:
        tag = "".join(letter for letter in tag.lower() if letter.isalnum())
        names = ("purchases", "visits", "messages")
        config = {"kafka": {"brokers": f"127.0.0.1:{kafka_proxy.port}", "group": f"{tag}-group", "wal": f"{tag}-wal",
                            "dead_letters": f"{tag}-dead", "audit": f"{tag}-audit",
                            "consumer": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "300"},
                            "inputs": {name: {"topic": f"{tag}-{name}", "format": "native"} for name in names}}}
        rules = [{**rule, "topic": f"{tag}-triggers"} for rule in STORY_RULES]
        made.append(Cluster(tmp_path / tag, rules=rules, broker=kafka_proxy.broker, config=config,
                            trigger_topics=(f"{tag}-triggers",)))
        return made[-1]

    yield make
    kafka_proxy.befalls = {}
    for live in made:
        live.__exit__()


def befall(live: Cluster, proxy: KafkaProxy, plan: list[tuple]) -> Story:
    """Each of the plan strikes once, one after the other, while events come in; rfmd lives."""
    proxy.used = []
    live.start()
    story = Story(live, 40 * len(plan), 4 * len(plan), seed=len(plan))
    for number, (name, what) in enumerate(plan):
        proxy.befalls[name] = [what]
        story.tell(1 / len(plan))
        until = time.monotonic() + (30 if name in ALWAYS else 1)
        while proxy.befalls[name] and time.monotonic() < until:
            time.sleep(0.02)
        assert name not in ALWAYS or not proxy.befalls[name], f"no {name} came\n{live.processes[0].log_tail()}"
        proxy.befalls[name] = []
    assert live.processes[0].running, live.processes[0].log_tail()
    return story


@pytest.mark.parametrize("what", (pytest.param("request", marks=pytest.mark.slow), "reply"))
def test_requests_and_replies_are_lost(one_by_one, kafka_proxy, what):
    kinds = [kind for kind in KINDS if kind not in ("JoinGroup", "SyncGroup", "OffsetFetch")]  # those of a start are below
    live = one_by_one(f"lost-{what}")
    befall(live, kafka_proxy, [(kind, what) for kind in kinds * (5 if ALL else 1)]).check(120)


@pytest.mark.parametrize("what", (pytest.param("request", marks=pytest.mark.slow), "reply"))
def test_requests_and_replies_of_a_start_are_lost(one_by_one, kafka_proxy, what):
    live = one_by_one(f"start-{what}")
    story = Story(live, 600, 60).tell(0.5)
    kafka_proxy.befalls, kafka_proxy.used = {kind: [what] for kind in KINDS}, []
    live.start()
    kafka_proxy.befalls = {}
    story.rest().check(120)
    assert {kind for kind, _ in kafka_proxy.used} >= {"ListOffsets", "OffsetFetch", "FindCoordinator", "JoinGroup", "SyncGroup",
                                                      "InitProducerId"}, kafka_proxy.used


@pytest.mark.parametrize("kind", [kind if kind == "EndTxn" else pytest.param(kind, marks=pytest.mark.slow)
                                  for kind in REFUSALS])
def test_requests_are_refused(one_by_one, kafka_proxy, kind):
    live = one_by_one(f"refused-{kind}")
    plan = [(kind, code) for code in REFUSALS[kind]]
    if kind in BROUGHT_ABOUT:
        kafka_proxy.befalls[kind] = [code for _, code in plan]
        plan = [BROUGHT_ABOUT[kind]] * len(plan)
    befall(live, kafka_proxy, plan).check(120)
    assert [used for used, _ in kafka_proxy.used].count(kind) >= 2, kafka_proxy.used


@pytest.mark.parametrize("kind, code", [
    (kind, code) if kind == "AddOffsetsToTxn" and code == 30 else pytest.param(kind, code, marks=pytest.mark.slow)
    for kind, codes in FATAL.items() for code in codes])
def test_what_no_retry_mends_is_told(one_by_one, kafka_proxy, kind, code):
    live = one_by_one(f"fatal-{kind}-{code}")
    process, story = live.processes[0], Story(live, 600, 60)
    kafka_proxy.befalls = {kind: [code] * 1000}
    process.start(wait=False)
    story.tell(0.5)
    wait_for("a word about it", lambda: not process.running or "uthorization" in process.log_text(), 60, 0.1, process.log_tail)
    if process.running:
        process.kill()
    assert process.child.returncode in (3, -9) and "uthorization" in process.log_text(), process.log_tail()
    kafka_proxy.befalls = {}
    process.start()
    story.rest().check(120)
