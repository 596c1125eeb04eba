"""The Kafka adapter's own tests against a real broker: tests/unit/kafka/broker_test.c, built beside the program."""
import os
import subprocess

import pytest

from harness.rfmd import binary


def test_the_adapter_against_a_broker(shared_broker):
    program = binary().parent / "kafka_broker_test"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    environment = {**os.environ, "KAFKA_BROKERS": shared_broker.address}
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIPPED" not in done.stdout + done.stderr
