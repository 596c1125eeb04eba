"""A real Kafka, a real Redis and rfmd processes, started, hurt and stopped by tests."""
from .broker import KafkaBroker
from .cluster import Cluster
from .redis_server import RedisServer
from .rfmd import Rfmd, base_config, merged, run_command
from .waiting import Timeout, wait_for

__all__ = ["Cluster", "KafkaBroker", "RedisServer", "Rfmd", "Timeout", "base_config", "merged", "run_command", "wait_for"]
