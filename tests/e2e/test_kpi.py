"""The report on the business beside an independent computation over the same events: CDNOW, and a generated year."""
import csv
import io
import json
import random
import re
from pathlib import Path

import pytest
import yaml

from harness.rfmd import base_config, merged, run_command, write_config
from reference.decode import parse_time_ms
from reference.kpi import STAGES, Kpi, month_number, month_text
from reference.scores import DAY_MS, Settings
from test_cdnow import events as cdnow_events  # noqa: F401  (a fixture)

pytestmark = pytest.mark.rfmd
RATES = {"USD": "0.9137", "JPY": "0.00612"}
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0}
YEAR_MS = parse_time_ms("2025-01-01T00:00:00Z")
CAMPAIGNS = ("spring", "summer, sun", "affiliate")
ZONE = "Europe/Berlin"


class Shop:
    """A year of events: refunds before and after their orders and without any, costs, three currencies, answers; each event
    arrives up to 60 days late."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.numbers = iter(range(10**9))
        self.arrivals: list[tuple[int, int, dict]] = []
        for number in range(300):
            self.client(f"client-{number}")

    def time(self) -> int:
        return self.random.randrange(self.first_ms, YEAR_MS + 365 * DAY_MS)

    def add(self, client: str, type_: str, time_ms: int, **fields) -> dict:
        number = next(self.numbers)
        event = {"type": type_, "id": f"e{number}", "client_id": client, "time": time_ms, **fields}
        self.arrivals.append((time_ms + self.random.randrange(60 * DAY_MS), number, event))
        return event

    def money(self, low: int, high: int) -> dict:
        currency = self.random.choice(("EUR", "EUR", "USD", "JPY"))
        minor = self.random.randrange(low, high)
        return {"amount": f"{minor * 100 if currency == 'JPY' else minor / 100}".removesuffix(".0"), "currency": currency}

    def client(self, name: str) -> None:
        """Who visits comes by a campaign from the start, or by none: stages of longer ago do not move to another source."""
        self.first_ms = YEAR_MS + self.random.randrange(300 * DAY_MS)
        visits = self.random.random() < .7
        campaigns = [] if self.random.random() < .3 else self.random.sample(CAMPAIGNS, self.random.randrange(1, 4))
        campaign = lambda: {"campaign": self.random.choice(campaigns)} if campaigns and self.random.random() < .4 else {}  # noqa: E731
        for _ in range(min(11, int(self.random.expovariate(.4)))):
            self.order(name, campaign())
        if campaigns and visits:
            self.add(name, "visit", self.first_ms - 1, action="view_item", campaign=campaigns[0])
        for _ in range(visits * int(self.random.expovariate(.3))):
            action = self.random.choice(("page_view", "login", *STAGES[1:]))
            self.add(name, "visit", self.time(), action=action, **campaign())
        if self.random.random() < .3:
            self.add(name, "cost", self.time(), **self.money(1, 3000), **campaign())
        for _ in range(self.random.choice((0, 0, 1, 2))):
            self.add(name, "feedback", self.time(), kind="nps", score=self.random.randrange(11))
        if self.random.random() < .2:
            self.add(name, "feedback", self.time(), kind="csat", score=self.random.randrange(1, 6))
        if self.random.random() < .1:
            self.add(name, "feedback", self.time(), kind="complaint")
        if self.random.random() < .05:
            self.add(name, "refund", self.time(), order_id=f"{name}-lost", amount="3.00", currency="EUR")

    def order(self, client: str, fields: dict) -> None:
        order_id = f"o{next(self.numbers)}"
        order = self.add(client, "purchase", self.time(), order_id=order_id, **self.money(100, 20000), **fields)
        if self.random.random() < .15:
            some = {"amount": order["amount"]} if self.random.random() < .3 else {"amount": self.money(1, 2)["amount"]}
            if order["currency"] == "JPY" and "." in some["amount"]:
                some = {}
            self.add(client, "refund", order["time"] + self.random.randrange(20 * DAY_MS), order_id=order_id,
                     **self.random.choice((some, {}, {**some, "currency": order["currency"]} if some else {})))

    @property
    def events(self) -> list[dict]:
        return [event for _, _, event in sorted(self.arrivals, key=lambda arrival: arrival[:2])]


def cents(text):
    return None if text is None else int(text.replace(".", ""))


MONEY = {"revenue", "average_order", "cost", "cac", "ltv_historic", "ltv_predicted", "ltv"}


def plain(row: dict) -> dict:
    return {name: cents(value) if name in MONEY else value for name, value in row.items() if name != "change"}


def same(got, wanted) -> bool:
    if isinstance(wanted, float):
        return got is not None and abs(got - wanted) < 1e-9
    return got == wanted


def check(row: dict, wanted: dict, where: str) -> None:
    got = plain(row)
    wrong = {name: (got[name], value) for name, value in wanted.items() if not same(got[name], value)}
    assert not wrong, f"{where}: {wrong}"


class Replayed:
    def __init__(self, folder: Path, config: dict, events: list[dict], until=None):
        self.folder, self.config = folder, write_config(folder / "rfmd.yaml", config)
        self.file = folder / "events.ndjson"
        self.file.write_text("".join(json.dumps(event) + "\n" for event in events))
        self.until = ["--until", until] if until else []

    def run(self, *more, report="report.json") -> bytes:
        done = run_command("replay", "-c", self.config, "--events", self.file, "--report", self.folder / report,
                           *self.until, *more, timeout_s=240)
        assert done.returncode == 0, done.stderr.decode()
        return (self.folder / report).read_bytes()

    def report(self, *more) -> dict:
        return json.loads(self.run(*more))


@pytest.fixture(scope="module", params=(1,))
def year(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("year")
    model = {"model": "mbg_nbd", "unit": "week", "r": 0.52484, "alpha": 6.1831, "a": 0.89135, "b": 1.61399,
             "evidence_cap": 5, "spend": {"p": 6.25, "q": 3.74, "v": 15.44}}
    config = merged(base_config(folder, model=model), {
        "money": {"rates": {name: float(rate) for name, rate in RATES.items()}, "margin": 0.25}, "rfm": {"timezone": ZONE}})
    events = Shop(request.param).events
    kpi = Kpi(events, Settings(rates=RATES, digits=DIGITS), ZONE)
    return Replayed(folder, config, events, "2026-02-28T12:00:00Z"), kpi


def check_months(report: dict, kpi: Kpi, first: str, months: int, source=None) -> None:
    wanted = [month_text(month_number(first) + i) for i in range(months)]
    assert [row["month"] for row in report["periods"]] == wanted
    for row, funnel in zip(report["periods"], report["funnel"]):
        check(row, kpi.period(row["month"], source), f"{row['month']} of {source}")
        check(funnel, kpi.funnel(row["month"], source), f"funnel of {row['month']} of {source}")
    cohorts = {row["month"]: [row["clients"], *(row[f"m{later}"] for later in range(1, 24))] for row in report["cohorts"]}
    expected = kpi.cohorts(wanted[-1], source)
    assert cohorts.keys() == expected.keys()
    for month, row in expected.items():
        assert all(same(got, value) for got, value in zip(cohorts[month], row)), f"cohort {month} of {source}"


def test_months_of_a_year(year):
    replayed, kpi = year
    report = replayed.report("--report-from", "2024-12", "--report-to", "2026-02")
    check_months(report, kpi, "2024-12", 15)
    for row in report["events"]:
        check(row, kpi.event_counts(row["month"]), f"events of {row['month']}")
    totals = [plain(row) for row in report["periods"]]
    assert sum(row["revenue"] for row in totals) == sum(person.revenue for person in kpi.people.values())
    assert sum(row["new_clients"] for row in totals) == sum(bool(person.orders) for person in kpi.people.values()) > 100
    assert sum(row["cost"] for row in totals) > 0 and any(row["retention"] for row in totals)


def test_changes_are_against_the_period_before(year):
    rows = year[0].report("--report-from", "2025-03", "--report-to", "2025-06")["periods"]
    before = year[1].period("2025-02")
    for row in rows:
        now = year[1].period(row["month"])
        for name, value in now.items():
            if name in ("returning_rate", "retention", "churn_rate"):
                assert same(row["change"][name], float(value - before[name])), (row["month"], name)
            elif name not in ("cost", "cac"):
                assert same(row["change"][name], (value - before[name]) / before[name]), (row["month"], name)
        before = now


def test_days_of_a_year(year):
    replayed, kpi = year
    report = replayed.report("--report-by", "day", "--report-from", "2025-03", "--report-to", "2025-04-15")
    assert [report["from"], report["to"], len(report["periods"])] == ["2025-03-01", "2025-04-15", 46]
    for row in report["periods"]:
        check(row, kpi.period(row["day"]), row["day"])
    for row in report["events"]:
        check(row, kpi.event_counts(row["day"]), row["day"])


@pytest.mark.parametrize("source", CAMPAIGNS)
def test_one_source(year, source):
    replayed, kpi = year
    report = replayed.report("--report-from", "2025-01", "--report-to", "2026-02", "--report-source", source)
    check_months(report, kpi, "2025-01", 14, source)
    check(report["value"][0], {**kpi.answers(source), "clients": len(kpi.of(source))}, source)


def test_all_sources(year):
    replayed, kpi = year
    report = replayed.report("--report-from", "2025-01", "--report-to", "2026-02")
    assert {row["source"] for row in report["sources"]} == {*CAMPAIGNS, None}
    for row in report["sources"]:
        people = [person for person in kpi.people.values() if person.source == row["source"]]
        cost = sum(minor for _, minor, campaign in kpi.costs if campaign == row["source"])
        check(row, {"clients": len(people), "buyers": sum(bool(person.orders) for person in people),
                    "orders": sum(len(person.orders) for person in people), "cost": cost,
                    "revenue": sum(person.revenue for person in people),
                    "open_complaints": sum(person.complaints for person in people)}, row["source"])


def test_clients_and_their_value(year):
    replayed, kpi = year
    report = replayed.report("--report-from", "2025-01", "--report-to", "2026-02", "--clients", replayed.folder / "clients")
    clients = [json.loads(line) for line in (replayed.folder / "clients").read_text().splitlines()]
    for sheet, key in (("lifecycle", "lifecycle"), ("segments", "segment")):
        counted = {row[key]: row["clients"] for row in report[sheet]}
        names = {client[key] for client in clients} | counted.keys()
        assert counted == {name: sum(client[key] == name for client in clients) for name in names}
    value = plain(report["value"][0])
    revenue, buyers = sum(person.revenue for person in kpi.people.values()), [c for c in clients if c["orders"]]
    check(report["value"][0], {**kpi.answers(), "clients": len(kpi.people), "buyers": len(buyers), "revenue": revenue}, "all")
    assert value["ltv_historic"] == pytest.approx(.25 * revenue / len(buyers), abs=.5)
    predicted = sum(float(client["ltv"]["predicted"]) for client in buyers)
    assert predicted > 0 and value["ltv_predicted"] == pytest.approx(100 * .25 * predicted / len(buyers), abs=1)
    assert abs(value["ltv"] - value["ltv_historic"] - value["ltv_predicted"]) <= 1
    cost = sum(minor for _, minor, _ in kpi.costs)
    assert value["cac"] == pytest.approx(cost / len(buyers), abs=.5)
    assert value["ltv_to_cac"] == pytest.approx(value["ltv"] * len(buyers) / cost, rel=.01)
    assert abs(value["top_share"] - kpi.top_share()) <= .01


CONDITIONS = {
    "regulars": ("client.orders >= 2 && client.revenue > 150", lambda c: c["orders"] >= 2 and float(c["revenue"]) > 150),
    "window_shoppers": ("client.orders == 0 && client.visits > 0", lambda c: c["orders"] == 0 and c["visits"] > 0),
    "unhappy": ("has(client.nps) && client.nps <= 6 || client.open_complaints > 0",
                lambda c: c["nps"] is not None and c["nps"] <= 6 or c["open_complaints"] > 0),
    "once_only": ("client.orders == 1", lambda c: c["orders"] == 1),
    "nobody": ("client.orders > 1000000", lambda c: False),
    "fails": ("1 / client.orders > 0", lambda c: c["orders"] == 1),
}


def counted(clients, source=...) -> dict:
    """By walking over every client's state."""
    own = [client for client in clients if source is ... or client["source"] == source]
    counts = {name: sum(bool(holds(client)) for client in own) for name, (_, holds) in CONDITIONS.items()}
    return {name: count for name, count in counts.items() if count}


def in_named(report: dict) -> dict:
    return {row["segment"]: row["clients"] for row in report["named_segments"]}


def test_segments_by_condition(tmp_path):
    """Events come late and in any order, clients' sources change with them, some clients are erased."""
    document = {"segments": {name: condition for name, (condition, _) in CONDITIONS.items()}, "rules": [
        {"name": "regulars", "on": {"enter": {"segment": "regulars"}}, "class": "transactional", "channels": ["email"],
         "topic": "triggers"}]}
    config = merged(base_config(tmp_path, document), {"money": {"rates": {n: float(r) for n, r in RATES.items()}}})
    shop = Shop(3)
    for number in range(0, 300, 9):
        shop.arrivals.append((YEAR_MS + (200 + number) * DAY_MS, 10**9 + number, {
            "type": "erase", "id": f"erase-{number}", "client_id": f"client-{number}", "time": YEAR_MS + 365 * DAY_MS}))
    replayed = Replayed(tmp_path, config, shop.events, "2026-03-01T00:00:00Z")
    report = replayed.report("--clients", tmp_path / "clients")
    clients = [json.loads(line) for line in (tmp_path / "clients").read_text().splitlines()]
    assert in_named(report) == counted(clients) and len(in_named(report)) == 5
    assert all(row["share"] == row["clients"] / len(clients) for row in report["named_segments"])
    assert [row["clients"] for row in report["named_segments"]] == sorted(in_named(report).values(), reverse=True)
    of_one = replayed.report("--report-source", CAMPAIGNS[0], "--partitions", "7")
    assert in_named(of_one) == counted(clients, CAMPAIGNS[0])
    text = replayed.run(report="r.txt").decode()
    assert re.search(rf"\nnamed_segments\nsegment .*(\n.*)*\nunhappy +{counted(clients)['unhappy']} ", text)


def test_partitions_and_order_do_not_show(year):
    replayed, _ = year
    one = replayed.run("--partitions", "1")
    assert one == replayed.run("--partitions", "7")
    shuffled = replayed.folder / "by-time.ndjson"
    lines = replayed.file.read_text().splitlines()
    shuffled.write_text("".join(line + "\n" for line in sorted(lines, key=lambda line: json.loads(line)["time"])))
    done = run_command("replay", "-c", replayed.config, "--events", shuffled, "--report", replayed.folder / "again.json",
                       *replayed.until)
    assert done.returncode == 0 and (replayed.folder / "again.json").read_bytes() == one


def test_csv_and_text_say_the_same(year):
    replayed, _ = year
    report = replayed.report()
    rows = list(csv.DictReader(io.StringIO(replayed.run(report="report.csv").decode())))
    by_key = {(row["sheet"], row["row"], row["figure"]): row for row in rows}
    assert len(by_key) == len(rows)
    text = replayed.run(report="report.txt").decode()
    for sheet in ("periods", "funnel", "events", "cohorts", "lifecycle", "segments", "sources", "value"):
        assert f"\n{sheet}\n" in text
        for row in report[sheet]:
            key, *figures = [name for name in row if name != "change"]
            for figure in figures:
                cell = by_key[sheet, row[key] or "", figure]
                value = row[figure]
                assert cell["value"] == ("" if value is None else value if isinstance(value, str) else json.dumps(value))
                change = row.get("change", {}).get(figure)
                assert cell["change"] == ("" if change is None else json.dumps(change))
    for row in report["periods"]:
        assert any(line.startswith(row["month"]) and row["revenue"] in line for line in text.splitlines())


@pytest.mark.timeout(240)
def test_cdnow(cdnow_events, tmp_path):  # noqa: F811
    config = merged(base_config(tmp_path), {"money": {"base_currency": "USD"}})
    replayed = Replayed(tmp_path, config, cdnow_events, "1998-07-01T00:00:00Z")
    report = replayed.report("--report-from", "1997-01", "--report-to", "1998-06")
    kpi = Kpi(cdnow_events, Settings(base_currency="USD", digits={"USD": 2}))
    check_months(report, kpi, "1997-01", 18)
    value = report["value"][0]
    assert (value["clients"], value["revenue"]) == (23_570, "2500315.63")
    assert abs(value["top_share"] - kpi.top_share()) <= .01
    assert sum(row["orders"] for row in report["periods"]) == 69_659 - 80


# -- what is asked for wrongly


@pytest.mark.parametrize("arguments, code, word", [
    (("--report-by", "week"), 2, "week"), (("--report-from", "2025"), 2, "2025"), (("--report-format", "xml"), 2, "xml"),
    (("--report-by", "day", "--report-source", "spring"), 2, "report-source"),
    (("--report-from", "2025-06", "--report-to", "2025-05"), 1, "before it begins"),
    (("--report-from", "1000-01"), 1, "too many periods"), (("--report-source", "nowhere"), 1, "nowhere"),
])
def test_what_cannot_be_reported(tmp_path, arguments, code, word):
    replayed = Replayed(tmp_path, base_config(tmp_path), [
        {"type": "purchase", "id": "p", "client_id": "c", "time": YEAR_MS, "order_id": "o", "amount": "1.00"}])
    done = run_command("replay", "-c", replayed.config, "--events", replayed.file, "--report", tmp_path / "r", *arguments)
    assert done.returncode == code and word in done.stderr.decode(), done.stderr.decode()


def test_a_report_of_nothing(tmp_path):
    replayed = Replayed(tmp_path, base_config(tmp_path), [{"type": "visit", "id": "v", "client_id": "c", "time": YEAR_MS}])
    report = replayed.report()
    assert report["value"][0]["clients"] == 1 and report["value"][0]["ltv"] is None
    assert report["periods"][-1]["month"] == "2025-01" and report["periods"][-1]["average_order"] is None
    assert report["cohorts"] == []
