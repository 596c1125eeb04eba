"""The whole CDNOW log through real Kafka and two processes, beside an independent computation and `rfmd replay`."""
import json
import math
from collections import defaultdict
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.rfmd import replay, report
from reference.decode import Event
from reference.facts import Facts
from reference.scores import DAY_MS, Settings

pytestmark = [pytest.mark.rfmd, pytest.mark.timeout(300)]
AS_OF = "1998-07-01T00:00:00Z"
AS_OF_MS = 899_251_200_000
EXACT = ("orders", "revenue", "x", "t_x", "first_purchase", "last_purchase", "avg_order", "refunds", "currency")
MODELS = ("age", "p_alive", "p_active", "churn_risk", "activity_ratio")


def rows() -> list[tuple[str, int, int]]:
    """(client, moment in ms at noon, cents) in the file's order."""
    log = Path(find_spec("lifetimes").origin).parent / "datasets" / "CDNOW_master.txt"
    result = []
    for line in log.read_text().splitlines():
        fields = line.split()
        if len(fields) < 4 or not fields[0].isdigit():
            continue
        day = datetime.strptime(fields[1], "%Y%m%d").replace(hour=12, tzinfo=timezone.utc)
        result.append((fields[0], int(day.timestamp() * 1000), round(float(fields[3]) * 100)))
    return result


@pytest.fixture(scope="module")
def events() -> list[dict]:
    """One purchase a row; of one client's rows of a day each is a little later than the one before."""
    of_day: dict = defaultdict(int)
    result = []
    for number, (client, moment_ms, cents) in enumerate(rows()):
        of_day[client, moment_ms] += 1
        result.append({"type": "purchase", "id": f"e{number}", "client_id": client,
                       "time": moment_ms + of_day[client, moment_ms], "order_id": f"o{number}",
                       "amount": f"{cents // 100}.{cents % 100:02d}", "currency": "USD"})
    return result


def published_model(x: int, t_x: float, idle: float, horizon: float) -> dict:
    """models.md, written out once more: MBG with the evidence cap, weeks."""
    r, alpha, a, b, cap = 0.52484, 6.1831, 0.89135, 1.61399, 5.0
    t_x, idle, horizon = t_x / 7, idle / 7, horizon / 7
    fade = 1 / (1 + x / cap)
    s, beta, d = r + x * fade, alpha + t_x * fade, a / (b + x)

    def active(u):
        alive = 1 / (1 + d * math.exp(s * math.log1p(u / beta)))
        return alive, alive * -math.expm1(-s * math.log1p(horizon / (beta + u)))

    alive, now = active(idle)
    return {"p_alive": alive, "p_active": now, "churn_risk": 1 - now, "activity_ratio": now / active(0.0)[1]}


@pytest.fixture(scope="module")
def expected(events) -> dict[str, dict]:
    """From plain sets and sums: no code of the reference's facts."""
    purchases: dict = defaultdict(list)
    for event in events:
        cents = round(float(event["amount"]) * 100)
        purchases[event["client_id"]] += [(event["time"], cents)] if cents else []
    result = {}
    for client, bought in purchases.items():
        if not bought:
            result[client] = {"orders": 0}
            continue
        days = {time // DAY_MS for time, _ in bought}
        last, t_x = max(time for time, _ in bought), max(days) - min(days)
        idle = (AS_OF_MS - last) / DAY_MS
        result[client] = {"orders": len(bought), "cents": sum(cents for _, cents in bought), "x": len(days) - 1,
                          "t_x": t_x, "age": t_x + idle, **published_model(len(days) - 1, t_x, idle, 90)}
    return result


def test_the_log_is_the_whole_one(events, expected):
    assert len(events) == 69_659 and len(expected) == 23_570
    assert sum(event["amount"] == "0.00" for event in events) == 80


def test_the_reference_agrees_with_plain_sets(events, expected):
    facts: dict = {}
    for event in events:
        client = facts.setdefault(event["client_id"], Facts(event["client_id"]))
        client.apply(Event("purchase", event["id"], event["client_id"], event["time"], event["order_id"],
                           round(float(event["amount"]) * 100)))
    for name, client in facts.items():
        view = client.view(AS_OF_MS, Settings())
        assert view["orders"] == expected[name]["orders"]
        for key in ("x", "t_x", *MODELS):
            assert view.get(key) == pytest.approx(expected[name].get(key), abs=1e-12)


def cents(text: str) -> int:
    whole, _, rest = text.partition(".")
    assert len(rest) == 2
    return int(whole) * 100 + int(rest)


def check(client: dict, wanted: dict) -> list[str]:
    if wanted["orders"] == 0:
        same = client["orders"] == 0 and client["lifecycle"] == "prospect" and client["segment"] == "prospect"
        return [] if same and client["rfm"] is None and cents(client["revenue"]) == 0 else [f"not a prospect: {client}"]
    wrong = [f"{key} {client[key]!r} != {wanted[key]!r}" for key in ("orders", "x", "t_x") if client[key] != wanted[key]]
    if cents(client["revenue"]) != wanted["cents"]:
        wrong.append(f"revenue {client['revenue']} != {wanted['cents']} cents")
    return wrong + [f"{key} {client[key]!r} != {wanted[key]!r}" for key in MODELS
                    if not math.isclose(client[key], wanted[key], rel_tol=1e-9, abs_tol=1e-9)]


def test_live_equals_the_computation_and_replay(cluster, events, expected, tmp_path):
    live = cluster(processes=2, config={"money": {"base_currency": "USD"}})
    live.start()
    writer = live.writer()
    for event in events:
        writer.send(live.inputs[0], event["client_id"], event)
    writer.flush()
    live.settle(120)
    clients = live.clients(AS_OF)
    assert clients.keys() == expected.keys()
    wrong = {name: faults for name, wanted in expected.items() if (faults := check(clients[name], wanted))}
    assert not wrong, f"{len(wrong)} clients differ: {dict(list(wrong.items())[:5])}"

    file = tmp_path / "events.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    months = ("1997-01", "1998-06")
    reported = tmp_path / "report.json"
    outputs = replay(live.config_path, [file], tmp_path, AS_OF, "--report", reported,
                     "--report-from", months[0], "--report-to", months[1])
    replayed = [json.loads(line) for line in outputs["clients"]]
    # Marks depend on when somebody looked, which live is now and in replay then.
    marks = ("segment", "previous_segment", "segment_since", "due", "triggers")
    facts = lambda client: {key: value for key, value in client.items() if key not in marks}  # noqa: E731
    by_id = {client["client_id"]: facts(client) for client in replayed}
    assert by_id == {name: facts(client) for name, client in clients.items()}

    # Of the report all but what depends on the clock and on when somebody looked.
    figures = report(live.config_path, "--from", months[0], "--to", months[1])
    wanted = json.loads(reported.read_text())
    assert sum(row["orders"] for row in wanted["periods"]) == sum(client["orders"] for client in expected.values())
    for sheet in ("periods", "funnel", "events", "cohorts"):
        assert figures[sheet] == wanted[sheet]
    of_clients = ("clients", "buyers", "revenue", "ltv_historic", "top_share")
    assert [figures["value"][0][name] for name in of_clients] == [wanted["value"][0][name] for name in of_clients]
