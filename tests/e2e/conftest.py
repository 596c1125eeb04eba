"""Fixtures of the end-to-end tests. RFMD: the program under test (default build/release/rfmd)."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import Cluster, KafkaBroker, RedisServer, merged  # noqa: E402
from harness.rfmd import binary  # noqa: E402

_cluster_number = 0


def pytest_collection_modifyitems(items):
    if binary().exists():
        return
    skip = pytest.mark.skip(reason=f"{binary()} is not built")
    for item in items:
        if "rfmd" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory):
    """One broker for tests that do not hurt it; topics and group are named by test."""
    broker = KafkaBroker(tmp_path_factory.mktemp("broker")).start()
    yield broker
    broker.kill()


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture
def own_cluster(tmp_path):
    """Makes a Cluster with a broker and a Redis of its own."""
    made = []

    def make(**options) -> Cluster:
        made.append(Cluster(tmp_path / f"cluster-{len(made)}", **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.__exit__()


@pytest.fixture
def cluster(tmp_path, shared_broker):
    """Makes a Cluster on the shared broker, with topics and group of its own and a Redis of its own."""
    made = []

    def make(config: dict | None = None, rules=None, **options) -> Cluster:
        global _cluster_number
        _cluster_number += 1
        tag = f"t{_cluster_number}-"
        rules = named_topics(rules, tag)
        names = ("purchases", "visits", "messages")
        own = {"kafka": {"group": f"{tag}group", "wal": f"{tag}wal", "dead_letters": f"{tag}dead", "audit": f"{tag}audit",
                         "inputs": {name: {"topic": tag + name, "format": "native"} for name in names}}}
        made.append(Cluster(tmp_path / f"cluster-{len(made)}", broker=shared_broker, rules=rules,
                            config=merged(own, config), trigger_topics=(f"{tag}triggers",), **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.__exit__()


def named_topics(rules, tag: str):
    """The rules with their topic set to this test's."""
    if rules is None:
        return None
    document = rules if isinstance(rules, dict) else {"rules": rules}
    return {**document, "rules": [{**rule, "topic": f"{tag}triggers"} for rule in document["rules"]]}
