"""A client that goes quiet is missed at the computed second, and one that has come back meanwhile is not."""
import base64
import hashlib
import hmac
import time

import pytest

from harness import topics, wait_for
from reference.decode import Event, parse_time_ms
from reference.facts import Facts
from reference.rules import trigger_id
from reference.scores import DAY_MS, Settings, first_second_at_or_below

pytestmark = pytest.mark.rfmd
SECRET = "kept by the shop"
WIN_BACK = [{"name": "win_back", "on": {"fall": {"activity_ratio": 0.3}}, "class": "marketing", "channels": ["push", "email"],
             "cooldown": "90d", "promo": {"prefix": "BACK", "percent": 15, "valid": "14d"}, "template": "we_miss_you"}]


def moment_of(purchase_times: list[int], after_ms: int) -> int:
    facts = Facts("c")
    for number, time_ms in enumerate(purchase_times):
        facts.apply(Event("purchase", f"e{number}", "c", time_ms, f"o{number}", 1000))
    return first_second_at_or_below(lambda at: facts.activity_ratio(at, Settings()), 0.3, after_ms)


def last_purchase_for(moment_ms: int, earlier_days: tuple = ()) -> list[int]:
    """Purchase times, the last of them at the same clock time as the earlier ones, whose fall comes about then."""
    low, high = moment_ms - 400 * DAY_MS, moment_ms - DAY_MS

    def fall(last_ms: int) -> int:
        return moment_of([last_ms - days * DAY_MS for days in earlier_days] + [last_ms], last_ms)

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fall(middle) >= moment_ms else (middle, high)
    return [high - days * DAY_MS for days in earlier_days] + [high]


def purchase(client: str, number: int, time_ms: int) -> dict:
    return {"type": "purchase", "id": f"{client}-{number}", "client_id": client, "time": time_ms,
            "order_id": f"{client}-o{number}", "amount": "20.00", "currency": "EUR"}


def consent(client: str, channel: str = "email") -> dict:
    return {"type": "consent", "id": f"{client}-y", "client_id": client, "time": int(time.time() * 1000) - 1000,
            "channel": channel, "granted": True}


@pytest.fixture
def live(cluster, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    made = cluster(rules=WIN_BACK, config={"promo": {"secret_file": str(tmp_path / "secret")}})
    return made.start()


def send(live, kind: int, events: list[dict]) -> None:
    writer = live.writer()
    for event in events:
        writer.send(live.inputs[kind], event["client_id"], event)
    writer.flush()


def by_client(records: list) -> dict:
    assert len({record.key for record in records}) == len(records), "a client got two"
    return {record.key.decode(): record for record in records}


@pytest.mark.sanitizer
def test_at_the_computed_second_with_no_event_arriving(live):
    shapes = {"once": (), "twice": (1,), "often": (30, 20, 12, 5), "refuses": ()}
    send(live, 2, [consent(client) for client in shapes if client != "refuses"])
    live.wait_consumed()
    about_ms = (int(time.time() * 1000) // 1000 + 8) * 1000
    times = {client: last_purchase_for(about_ms + 1000 * number, days) for number, (client, days) in enumerate(shapes.items())}
    # The newest first: an older one that comes later only brings the moment nearer.
    send(live, 0, [purchase(client, number, at) for client, list_ in times.items()
                   for number, at in reversed(list(enumerate(list_)))])
    live.wait_consumed()
    due = {client: moment_of(list_, about_ms - 60_000) for client, list_ in times.items()}
    assert time.time() * 1000 < min(due.values()) - 500, "this machine was too slow for the test"
    assert live.triggers() == []

    records = by_client(live.wait_triggers(3, 30))
    assert records.keys() == {"once", "twice", "often"}
    for client, record in records.items():
        value = record.json
        assert value["id"] == record.header("ce_id") == trigger_id("win_back", client, f"due:{due[client]}")
        assert due[client] <= parse_time_ms(value["time"]) <= due[client] + 2000
        assert due[client] <= record.timestamp_ms <= due[client] + 3000
        assert value["channel"] == "email" and value["class"] == "marketing" and value["template"] == "we_miss_you"
        assert value["client"]["orders"] == len(times[client])
        assert value["promo"]["code"] == code(client, due[client]) and value["promo"]["percent"] == 15
        assert parse_time_ms(value["promo"]["valid_until"]) - parse_time_ms(value["time"]) == 14 * DAY_MS
    audit = wait_for("the audit", live.audit, 15)
    assert [(record.json["client_id"], record.json["suppressed_by"]) for record in audit] == [("refuses", "consent")]
    assert audit[0].json["id"] == trigger_id("win_back", "refuses", f"due:{due['refuses']}")
    assert live.lag() == {} and live.processes[0].stop() == 0


def code(client: str, due_ms: int) -> str:
    digest = hmac.new(SECRET.encode(), f"win_back\x1f{client}\x1fdue:{due_ms}".encode(), hashlib.sha256).digest()
    bits = int.from_bytes(digest[:7], "big") >> 6
    return "BACK-" + "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> 5 * place & 31] for place in reversed(range(10)))


def test_the_code_s_alphabet():
    first = hmac.new(SECRET.encode(), b"win_back\x1fc\x1fdue:1", hashlib.sha256).digest()[:5]
    standard = base64.b32encode(first).decode()
    turned = standard.translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
    assert code("c", 1)[5:13] == turned


def test_after_an_outage_a_purchase_in_the_backlog_counts(live):
    clients = ("quiet", "came_back", "too_late")
    send(live, 2, [consent(client) for client in clients])
    live.wait_consumed()
    about_ms = (int(time.time() * 1000) // 1000 + 7) * 1000
    times = {client: last_purchase_for(about_ms) for client in clients}
    send(live, 0, [purchase(client, 0, at) for client, list_ in times.items() for at in list_])
    live.settle()
    due_ms = moment_of(times["quiet"], about_ms - 60_000)
    assert time.time() * 1000 < due_ms - 500, "this machine was too slow for the test"
    send(live, 0, [purchase("came_back", 1, int(time.time() * 1000))])
    wait_for("the moment to pass", lambda: time.time() * 1000 > due_ms + 1500, 20)
    # Appended after the moment, but before rfmd is back: the backlog that an owner finds is read before its timers fire.
    send(live, 0, [purchase("too_late", 1, int(time.time() * 1000))])
    live.processes[0].start()
    live.wait_triggers(1, 30)
    live.settle()
    records = by_client(live.triggers())
    assert records.keys() == {"quiet"}
    for client, record in records.items():
        assert record.json["id"] == trigger_id("win_back", client, f"due:{due_ms}")
    states = live.clients()
    assert states["came_back"]["orders"] == states["too_late"]["orders"] == 2
    assert topics.no_transaction_open(live.broker.address, live.outputs)
