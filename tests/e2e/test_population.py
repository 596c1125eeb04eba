"""Scores by fifths of the population, in the running program: what a start does before it knows the population."""
import json
import time

import pytest

pytestmark = pytest.mark.rfmd

SEGMENTS = ("champions", "loyal", "potential_loyalist", "new_customers", "promising", "need_attention", "about_to_sleep",
            "at_risk_customers", "cannot_lose", "hibernating", "lost")
RULES = [{"name": f"in_{segment}", "on": {"enter": {"segment": segment}}, "class": "transactional", "channels": ["email"],
          "template": "moved", "topic": "triggers"} for segment in SEGMENTS]
CLIENTS, DAY_MS = 300, 86_400_000


def purchase(number: int, now_ms: int) -> dict:
    """The larger the number, the longer ago and the dearer: by thresholds other scores than by fifths."""
    return {"type": "purchase", "id": f"p-{number}", "order_id": f"o-{number}", "time": now_ms - number * DAY_MS,
            "amount": f"{number + 1}.00", "currency": "EUR"}


def say(live, event_of) -> None:
    writer = live.writer()
    for number in range(CLIENTS):
        event = {"client_id": f"c{number}", **event_of(number)}
        writer.send(live.inputs[0], event["client_id"].encode(), json.dumps(event).encode())
    writer.flush()


def test_a_restart_moves_nobody(cluster):
    live = cluster(rules=RULES, config={"rfm": {"r": "population", "f": "fixed", "m": "population"}}).start()
    now_ms = int(time.time() * 1000)
    say(live, lambda number: purchase(number, now_ms))
    live.settle()
    sent = [len(live.triggers())]
    for start in range(2):
        say(live, lambda number: {"type": "visit", "id": f"v-{start}-{number}", "time": now_ms + start})
        live.start().settle()
        sent.append(len(live.triggers()))
    # By thresholds at first, since the shop had no clients yet; by fifths from the first start on that found some.
    assert sent[1] - sent[0] > CLIENTS / 4 and sent[2] == sent[1]
