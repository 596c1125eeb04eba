"""What `rfmd replay --experiments` reports beside an independent computation over the same events, with SciPy's statistics."""
import csv
import io
import json
import math
import random

import pytest
import xxhash
from scipy import stats

from harness.rfmd import base_config, run_command, write_config
from reference.decode import parse_time_ms

pytestmark = pytest.mark.rfmd
DAY_MS = 86_400_000
START_MS = parse_time_ms("2026-03-01T00:00:00Z")
LATE_MS = 6 * DAY_MS
HELLO = {"salt": "hello-1", "control": "30%", "variants": [{"name": "plain", "share": "50%"}, {"name": "funny", "share": "20%"}]}
OFFER = {"salt": "offer-1", "control": "50%", "variants": [{"name": "plain", "share": "50%"}]}
RULES = {
    "rules": [
        {"name": "hello", "on": {"event": "visit"}, "class": "marketing", "experiment": HELLO},
        {"name": "offer", "on": {"event": "points"}, "class": "marketing", "experiment": OFFER, "attribution": "5d"},
        {"name": "thanks", "on": {"event": "purchase"}, "class": "transactional", "attribution": "3d"},
        {"name": "silent", "on": {"event": "refund"}, "class": "transactional"},
    ],
    "policies": {"holdout": {"salt": "global-1", "share": "5%"}},
}
WINDOWS = {"hello": 14 * DAY_MS, "offer": 5 * DAY_MS}
ARMS = {"hello": [("control", 3000), ("plain", 5000), ("funny", 2000)], "offer": [("control", 5000), ("plain", 5000)]}
SALTS = {"hello": "hello-1", "offer": "offer-1"}
CAUSES = {"visit": "hello", "points": "offer", "purchase": "thanks"}


def bucket(salt: str, client: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{salt}\x1f{client}".encode()) % 10_000


def arm_of(rule: str, client: str) -> str:
    left = bucket(SALTS[rule], client)
    for name, buckets in ARMS[rule]:
        if left < buckets:
            return name
        left -= buckets
    raise AssertionError("shares are 100 % together")


def make_events(seed: int) -> list[dict]:
    """Clients who come, collect points, buy (more so in the arm `plain` of hello) and send back, up to six days late."""
    chance = random.Random(seed)
    arrivals, numbers = [], iter(range(10**9))

    def add(client: str, type_: str, time_ms: int, **fields) -> None:
        number = next(numbers)
        late_ms = chance.randrange(LATE_MS) if chance.random() < .3 else 0
        event = {"type": type_, "id": f"e{number}", "client_id": client, "time": START_MS + time_ms, **fields}
        arrivals.append((time_ms + late_ms, number, event))

    for number in range(2500):
        client = f"client-{number}"
        first_ms = chance.randrange(30 * DAY_MS)
        add(client, "visit", first_ms)
        if chance.random() < .3:
            add(client, "visit", first_ms + chance.randrange(3 * DAY_MS))
        if chance.random() < .6:
            add(client, "points", first_ms + chance.randrange(10 * DAY_MS), delta=10)
        rate = .75 if arm_of("hello", client) == "plain" else .55
        for order in range(min(12, int(chance.expovariate(1 / rate) + chance.random()))):
            time_ms = first_ms + chance.randrange(-DAY_MS, 25 * DAY_MS)
            cents = chance.randrange(1, 20_000)
            add(client, "purchase", time_ms, order_id=f"{client}-{order}", amount=f"{cents / 100:.2f}", currency="EUR")
            if chance.random() < .2:
                part = {} if chance.random() < .5 else {"amount": f"{chance.randrange(1, 30_000) / 100:.2f}", "currency": "EUR"}
                add(client, "refund", time_ms + chance.randrange(40 * DAY_MS), order_id=f"{client}-{order}", **part)
    return [event for _, _, event in sorted(arrivals, key=lambda arrival: arrival[:2])]


def cents_of(event: dict) -> int | None:
    return round(float(event["amount"]) * 100) if "amount" in event else None


class Client:
    def __init__(self, name: str):
        self.name, self.held_out = name, bucket("global-1", name) < 500
        self.exposed: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.orders: dict[str, dict] = {}
        self.early: dict[str, list] = {}

    def buy(self, event: dict) -> None:
        order = {"time": event["time"], "left": cents_of(event), "rule": None}
        for cents in self.early.pop(event["order_id"], []):
            order["left"] -= order["left"] if cents is None else min(cents, order["left"])
        self.orders[event["order_id"]] = order
        windows = {"hello": 14 * DAY_MS, "offer": 5 * DAY_MS, "thanks": 3 * DAY_MS}
        known = [(sent, rule) for rule, sent in self.sent.items() if 0 < event["time"] - sent <= windows[rule]]
        if known:
            latest = max(sent for sent, _ in known)
            order["rule"] = max(rule for sent, rule in known if sent == latest)

    def give_back(self, event: dict) -> None:
        cents, order = cents_of(event), self.orders.get(event["order_id"])
        if order is None:
            self.early.setdefault(event["order_id"], []).append(cents)
        else:
            order["left"] -= order["left"] if cents is None else min(cents, order["left"])

    def take(self, event: dict, clock_ms: int) -> None:
        if event["type"] == "purchase":
            self.buy(event)
        elif event["type"] == "refund":
            self.give_back(event)
        rule = CAUSES.get(event["type"])
        if rule is None or (self.held_out and rule != "thanks"):
            return
        if rule != "thanks":
            self.exposed.setdefault(rule, clock_ms)
        if rule == "thanks" or arm_of(rule, self.name) != "control":
            self.sent[rule] = clock_ms


class Shop:
    def __init__(self, events: list[dict], until_ms: int | None = None):
        self.clients: dict[str, Client] = {}
        self.clock_ms = 0
        for event in events:
            if until_ms and event["time"] > until_ms:
                continue
            self.clock_ms = max(self.clock_ms, event["time"])
            self.clients.setdefault(event["client_id"], Client(event["client_id"])).take(event, self.clock_ms)
        self.clock_ms = until_ms or self.clock_ms

    def revenues(self, rule: str, arm: str) -> list[list[int]]:
        """Of each client whose window is over, what is left of the orders within it."""
        found = []
        for client in self.clients.values():
            exposed = client.exposed.get(rule)
            if exposed is None or arm_of(rule, client.name) != arm or exposed + WINDOWS[rule] > self.clock_ms:
                continue
            found.append([order["left"] for order in client.orders.values()
                          if 0 < order["time"] - exposed <= WINDOWS[rule] and order["left"] > 0])
        return found

    def exposed(self, rule: str, arm: str) -> int:
        return sum(rule in client.exposed and arm_of(rule, client.name) == arm for client in self.clients.values())

    def attributed(self, rule: str) -> list[int]:
        return [order["left"] for client in self.clients.values() for order in client.orders.values()
                if order["rule"] == rule and order["left"] > 0]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    events = make_events(11)
    config = write_config(folder / "rfmd.yaml", base_config(folder, rules=RULES))
    file = folder / "events.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))

    def run(ending: str, *more) -> str:
        report = folder / f"report{ending}"
        done = run_command("replay", "-c", config, "--events", file, "--experiments", report, *more)
        assert done.returncode == 0, done.stderr.decode()
        return report.read_text()

    return run, Shop(events), events


def wilson(successes: int, count: int) -> tuple[float, float]:
    interval = stats.binomtest(successes, count).proportion_ci(method="wilson")
    return interval.low, interval.high


def check_against_control(arm: dict, control: list[list[int]], variant: list[list[int]]) -> None:
    bought = [sum(bool(orders) for orders in group) for group in (control, variant)]
    sizes = [len(control), len(variant)]
    rates = [part / size for part, size in zip(bought, sizes)]
    pooled = sum(bought) / sum(sizes)
    z = (rates[1] - rates[0]) / math.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    (low_c, high_c), (low_v, high_v) = (wilson(part, size) for part, size in zip(bought, sizes))
    difference = rates[1] - rates[0]
    close = lambda value: pytest.approx(value, rel=1e-9, abs=1e-12)  # noqa: E731
    assert arm["conversion_difference"] == close(difference)
    assert arm["conversion_low"] == close(difference - math.hypot(rates[1] - low_v, high_c - rates[0]))
    assert arm["conversion_high"] == close(difference + math.hypot(high_v - rates[1], rates[0] - low_c))
    assert arm["conversion_lift"] == close(difference / rates[0])
    assert arm["conversion_z"] == close(z) and arm["conversion_p"] == close(2 * stats.norm.sf(abs(z)))
    euros = [[sum(orders) / 100 for orders in group] for group in (variant, control)]
    test = stats.ttest_ind(*euros, equal_var=False)
    interval = test.confidence_interval(.95)
    assert arm["revenue_difference"] == close(sum(euros[0]) / sizes[1] - sum(euros[1]) / sizes[0])
    assert arm["revenue_low"] == pytest.approx(interval.low, rel=1e-8)
    assert arm["revenue_high"] == pytest.approx(interval.high, rel=1e-8)
    assert arm["revenue_t"] == pytest.approx(test.statistic, rel=1e-9)
    assert arm["revenue_p"] == pytest.approx(test.pvalue, rel=1e-8)


def test_arms(replayed):
    run, shop, _ = replayed
    report = json.loads(run(".json"))
    assert [experiment["rule"] for experiment in report["experiments"]] == ["hello", "offer"]
    for experiment in report["experiments"]:
        rule, groups = experiment["rule"], {}
        assert experiment["attribution_days"] * DAY_MS == WINDOWS[rule]
        for arm, (name, buckets) in zip(experiment["arms"], ARMS[rule], strict=True):
            groups[name] = group = shop.revenues(rule, name)
            assert (arm["arm"], arm["share"]) == (name, buckets / 10_000)
            assert (arm["exposed"], arm["clients"]) == (shop.exposed(rule, name), len(group))
            assert arm["converted"] == sum(bool(orders) for orders in group) > 10
            assert arm["orders"] == sum(len(orders) for orders in group)
            assert arm["revenue"] == f"{sum(map(sum, group)) / 100:.2f}"
            assert arm["revenue_per_client"] == pytest.approx(sum(map(sum, group)) / 100 / len(group), rel=1e-12)
            if name == "control":
                assert arm["conversion_p"] is None and arm["revenue_p"] is None
            else:
                check_against_control(arm, groups["control"], group)
        sizes = [len(group) for group in groups.values()]
        wanted = [sum(sizes) * buckets / 10_000 for _, buckets in ARMS[rule]]
        assert experiment["sample_ratio_p"] == pytest.approx(stats.chisquare(sizes, wanted).pvalue, rel=1e-9)
        assert experiment["suspicious"] is False


def test_only_windows_that_are_over(replayed):
    run, _, events = replayed
    until_ms = START_MS + 24 * DAY_MS
    shop, report = Shop(events, until_ms), json.loads(run(".json", "--until", str(until_ms)))
    for experiment in report["experiments"]:
        for arm in experiment["arms"]:
            group = shop.revenues(experiment["rule"], arm["arm"])
            assert (arm["exposed"], arm["clients"]) == (shop.exposed(experiment["rule"], arm["arm"]), len(group))
            assert arm["exposed"] > arm["clients"] > 20
            assert arm["revenue"] == f"{sum(map(sum, group)) / 100:.2f}"


def test_several_variants_are_held_to_more(replayed):
    arms = json.loads(replayed[0](".json"))["experiments"][0]["arms"][1:]
    for figure in ("conversion_p", "revenue_p"):
        small, large = sorted(arms, key=lambda arm: arm[figure])
        assert small[figure + "_holm"] == pytest.approx(min(1, 2 * small[figure]))
        assert large[figure + "_holm"] == pytest.approx(max(large[figure], small[figure + "_holm"]))


def test_attributed_to_the_last_send(replayed):
    run, shop, _ = replayed
    report = json.loads(run(".json"))
    rows = {row["rule"]: (row["orders"], row["revenue"]) for row in report["attribution"]}
    wanted = {rule: shop.attributed(rule) for rule in ("hello", "offer", "thanks")}
    assert rows == {rule: (len(cents), f"{sum(cents) / 100:.2f}") for rule, cents in wanted.items()}
    assert all(len(cents) > 50 for cents in wanted.values())


def test_partitions_make_no_difference(replayed):
    assert replayed[0](".json") == replayed[0](".json", "--partitions", "13")


def test_csv_says_the_same(replayed):
    rows = list(csv.DictReader(io.StringIO(replayed[0](".csv"))))
    report = json.loads(replayed[0](".json"))
    said = {(row["rule"], row["arm"], row["figure"]): row["value"] for row in rows}
    assert len(said) == len(rows)
    for experiment in report["experiments"]:
        assert said[experiment["rule"], "", "suspicious"] == "0"
        for arm in experiment["arms"]:
            for figure, value in arm.items():
                if figure != "arm":
                    text = said[experiment["rule"], arm["arm"], figure]
                    assert text == value if isinstance(value, str) else text == "" if value is None else float(text) == value
    for row in report["attribution"]:
        assert said[row["rule"], "", "attributed_revenue"] == row["revenue"]


def test_campaigns_and_rules_do_not_mix(replayed, tmp_path):
    """Rules' cells in the tally are no sources of clients."""
    done = json.loads(replayed[0](".json", "--report", tmp_path / "kpi.json") and (tmp_path / "kpi.json").read_text())
    assert [row["source"] for row in done["sources"]] == [None]
