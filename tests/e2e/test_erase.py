"""A client who is erased: nothing in any key of a real Redis, also after Redis was lost and made again from the WAL."""
import json
import time

import pytest

from harness import wait_for

pytestmark = pytest.mark.rfmd

RULES = [{"name": "review", "on": {"event": "purchase"}, "delay": "1h", "class": "transactional", "channels": ["email"]},
         {"name": "cart", "on": {"event": "visit"}, "delay": "2h", "cancel_on": ["purchase"], "class": "transactional"}]
GONE = [f"gone-{number:04d}" for number in range(40)]
HERE = [f"here-{number:04d}" for number in range(40)]


def tell(live, events) -> None:
    writer = live.writer()
    for event in events:
        topic = live.inputs[{"purchase": 0, "visit": 1}.get(event["type"], 2)]
        writer.send(topic, event["client_id"], json.dumps(event).encode())
    writer.flush()
    live.wait_consumed()


def said(kind: str, client: str, number: int, time_ms: int, **fields) -> dict:
    return {"type": kind, "id": f"{client}-{kind}-{number}", "client_id": client, "time": time_ms, **fields}


def story(client: str, now_ms: int) -> list[dict]:
    order = {"amount": "10.00", "currency": "EUR", "items": [{"category": f"of-{client[:4]}"}]}
    return [said("visit", client, 1, now_ms - 9000), said("purchase", client, 2, now_ms - 8000, order_id="1", **order),
            said("visit", client, 3, now_ms - 7000), said("points", client, 4, now_ms - 6000, delta=5),
            said("profile", client, 5, now_ms - 5000, traits={"tier": "gold"}, timezone="UTC"),
            said("purchase", client, 6, now_ms - 4000, order_id="2", **order)]


def dump(live) -> bytes:
    """Every key with everything in it."""
    redis, parts = live.redis.client(), []
    for key in redis.scan_iter(count=1000):
        kind = redis.type(key)
        parts.append(key)
        if kind == b"string":
            parts.append(redis.get(key))
        elif kind == b"list":
            parts += redis.lrange(key, 0, -1)
        elif kind == b"hash":
            parts += [part for pair in redis.hgetall(key).items() for part in pair]
        else:
            raise AssertionError(f"{key!r} is a {kind!r}")
    return b"\n".join(parts)


def stored(live) -> None:
    """What was consumed is in Redis: a stop leaves nothing in flight."""
    live.stop()


def check(live) -> None:
    everything, states = dump(live), live.clients()
    assert all(name.encode() in everything for name in HERE)
    assert [name for name in GONE if name.encode() in everything] == []
    assert sorted(states) == sorted(HERE)
    redis = live.redis.client()
    counted = sum(int(value) for key in redis.scan_iter(match="*:n:day") for value in redis.hgetall(key).values())
    assert counted == len(HERE)
    assert sum(redis.hlen(key) for key in redis.scan_iter(match="*:erased")) == len(GONE)


def test_nothing_of_an_erased_client_stays(own_cluster):
    live = own_cluster(rules=RULES, processes=2).start()
    now_ms = int(time.time() * 1000)
    tell(live, [event for name in GONE + HERE for event in story(name, now_ms)])
    tell(live, [said("erase", name, 9, now_ms) for name in GONE])
    tell(live, [said("erase", name, 9, now_ms) for name in GONE])  # once more
    tell(live, [said("visit", name, 10, now_ms - 100) for name in GONE])  # late
    stored(live)
    check(live)
    live.redis.client().flushall()
    live.start()
    live.wait_consumed()
    wait_for("Redis to be made again", lambda: live.redis.client().dbsize() > 80, 30, 0.2)
    tell(live, [said("visit", name, 11, now_ms - 50) for name in GONE])
    stored(live)
    check(live)
    live.start()
    tell(live, [said("visit", GONE[0], 12, now_ms + 50)])  # somebody new
    stored(live)
    assert live.clients()[GONE[0]]["visits"] == 1 and live.clients()[GONE[0]]["orders"] == 0
