"""What the contract says of commands and configuration: exit codes, files, environment, secrets."""
import json
import time

import pytest
import yaml

from harness.probe import HOUR_MS, T0, Outcome, Probe, purchase, rule, visit
from harness.rfmd import replay, run_command
from reference.decode import time_text

pytestmark = pytest.mark.rfmd
VISITS = [rule("t", {"event": "visit"})]


@pytest.fixture
def probe(tmp_path):
    return Probe(tmp_path)


@pytest.mark.parametrize("arguments", [
    ("version", "loud"), ("check", "-c", "c.yaml", "d.yaml"), ("check", "-c", "c.yaml", "-c", "c.yaml"),
    ("run", "-c", "c.yaml", "now"),
    ("gen", "more"), ("demo", "more"), ("check", "--reference", "metrics", "more"),
    ("fit", "--unit", "day", "--unit", "week"),
    ("replay", "-c", "c.yaml", "--events", "e", "--until", "2026-01-06"),
    ("replay", "-c", "c.yaml", "--events", "e", "--partitions", "0"),
    ("gen", "--seed", "99999999999999999999"), ("replay", "-c", "c.yaml", "--events", "e", "--until", "99999999999999999999"),
])
def test_nothing_on_the_command_line_is_ignored(arguments):
    done = run_command(*arguments, timeout_s=10)
    assert done.returncode == 2 and done.stderr and done.stdout == b""


def test_events_may_be_given_more_than_once(probe):
    """A second --events once took the place of the first."""
    config = probe.config(VISITS)
    files = [probe.events([visit(name)], f"{name}.ndjson") for name in "abc"]
    out = run_command("replay", "-c", config, "--events", files[0], "--events", files[1], files[2], "--clients", "-")
    assert out.returncode == 0 and [json.loads(line)["client_id"] for line in out.stdout.splitlines()] == ["a", "b", "c"]


def test_files_are_merged_by_time_wherever_they_come_from(probe):
    config, events = probe.config(VISITS), [visit("abc"[i % 3], i * 1000) for i in range(90)]
    whole = replay(config, [probe.events(events)], probe.folder)
    parts = [probe.events(events[part::3], f"{part}.ndjson") for part in range(3)]
    assert replay(config, parts, probe.folder) == replay(config, parts[::-1], probe.folder) == whole
    piped = run_command("replay", "-c", config, "--events", "-", *parts[1:], "--triggers", "-", stdin=parts[0].read_bytes())
    assert piped.returncode == 0 and piped.stdout.splitlines() == whole["triggers"]
    assert [replay(config, parts, probe.folder, None, "--partitions", n) for n in (1, 5, 32)] == [whole] * 3


def test_many_partitions_and_a_far_time_take_no_long_time(probe):
    """Each minute of each day was asked for in each partition, and each answer searched for among all."""
    config, events = probe.config(VISITS), [visit("abc"[i % 3], i * 48 * HOUR_MS) for i in range(90)]
    until = T0 + 400 * 365 * 24 * HOUR_MS
    files = [probe.events([*events, visit("far", until - HOUR_MS)])]
    begin = time.monotonic()
    assert replay(config, files, probe.folder, until, "--partitions", 64) == replay(config, files, probe.folder, until)
    assert time.monotonic() - begin < 60


def test_the_clock_is_the_largest_time_so_far(probe):
    out = probe.replay([visit("a", HOUR_MS), visit("b"), visit("a", 2 * HOUR_MS)], VISITS)
    assert sorted(out.sent, key=lambda sent: sent[2]) == [("t", "a", HOUR_MS), ("t", "b", HOUR_MS), ("t", "a", 2 * HOUR_MS)]
    assert {state["as_of"] for state in out.clients.values()} == {time_text(T0 + 2 * HOUR_MS)}
    assert out.clients["b"]["last_visit"] == time_text(T0)


def test_what_comes_after_until_is_not_there(probe):
    events = [visit("a"), visit("b", HOUR_MS), visit("c", HOUR_MS + 1)]
    assert list(probe.replay(events, VISITS, HOUR_MS).clients) == ["a", "b"]
    assert list(probe.replay(events, VISITS, -1).clients) == []


def test_a_dead_letter_has_the_original(probe):
    bad = purchase(amount="-1", note="ü\u2028\\")
    out = probe.replay([visit(), bad], VISITS)
    letter = out.dead_letters[0]
    assert json.loads(letter["value"]) == bad and letter["headers"].keys() == {
        "rfmd.reason", "rfmd.detail", "rfmd.topic", "rfmd.partition", "rfmd.offset"}
    assert (letter["headers"]["rfmd.reason"], letter["headers"]["rfmd.offset"]) == ("bad_amount", "1")


def test_what_a_state_cannot_take_says_why(probe):
    consents = [{**visit("a"), "type": "consent", "id": f"c{i}", "channel": f"channel-{i}", "class": "marketing", "granted": True}
                for i in range(17)]
    letters = probe.replay(consents, VISITS).dead_letters
    assert [letter["headers"]["rfmd.reason"] for letter in letters] == ["state_full"]
    assert "consents" in letters[0]["headers"]["rfmd.detail"] and json.loads(letters[0]["value"]) == consents[16]


def test_exit_codes(probe):
    config, events = probe.config(VISITS), probe.events([visit()])
    cases = [(1, ("replay", "-c", config, "--events", "nowhere.ndjson")), (1, ("test", "nowhere.yaml")),
             (1, ("fit", "--purchases", "nowhere.csv")), (3, ("client", "-c", config, "c")), (3, ("report", "-c", config)),
             (3, ("replay", "-c", config, "--events", events, "--triggers", probe.folder / "no" / "such")),
             (2, ("client", "-c", config)),
             (2, ("client", "-c", config, "--all", "c")), (2, ("replay", "-c", config)), (0, ("check", "-c", config))]
    config.write_text(config.read_text() + "redis: {url: 'redis://127.0.0.1:1'}\n")
    for code, arguments in cases:
        done = run_command(*arguments)
        assert done.returncode == code, (arguments, done.stderr)


def run_scenario(folder, events, expect):
    """`rfmd test` with a rule that says which article each visit was of."""
    hello = {**rule("hello", {"event": "visit"}), "data": {"s": "event.sku"}}
    (folder / "hello.yaml").write_text(yaml.safe_dump({"rules": [hello]}))
    scenario = folder / "scenario.yaml"
    scenario.write_text(yaml.safe_dump({"config": {"money": {"base_currency": "EUR"}, "rules": ["hello.yaml"]}, "scenarios": [
        {"name": "it", "events": events, "until": "1d", "expect": expect}]}))
    return run_command("test", scenario)


@pytest.mark.parametrize("met, expected", [
    (True, ("?a", "?", "?")), (True, ("?", "?a", "?")), (True, ("?", "?", "?a")), (True, ("?", "?b", "?a")), (True, ("?c", "?b", "?a")),
    (False, ("?", "?")), (False, ("?", "?", "?", "?")), (False, ("?a", "?a", "?")), (False, ("?", "?a", "?d"))])
def test_a_scenario_is_met_in_any_order(tmp_path, met, expected):
    """What says less took what only one that says more could not do without."""
    events = [{"type": "visit", "time": f"{i}s", "sku": sku} for i, sku in enumerate("abc")]
    expect = [{"rule": "hello", **({"data": {"s": text[1:]}} if text[1:] else {})} for text in expected]
    done = run_scenario(tmp_path, events, expect)
    assert done.returncode == (0 if met else 1), done.stderr + done.stdout


def test_a_scenario_may_be_without_events(tmp_path):
    assert run_scenario(tmp_path, [], []).returncode == 0
    assert run_scenario(tmp_path, [], [{"rule": "hello"}]).returncode == 1


@pytest.mark.parametrize("output", ["binary", "structured"])
def test_a_scenario_in_either_mode(tmp_path, output):
    paid = {**rule("hello", {"event": "profile"}), "when": "event.traits.paid && event.traits.valid == 7"}
    (tmp_path / "hello.yaml").write_text(yaml.safe_dump({"rules": [paid]}))
    config = {"money": {"base_currency": "EUR"}, "rules": ["hello.yaml"], "output": output,
              "traits": {"paid": {"type": "bool"}, "valid": {"type": "int"}}}
    event = {"type": "profile", "id": 5, "time": "1m", "traits": {"paid": True, "valid": 7}}
    scenario = tmp_path / "scenario.yaml"
    for expect, code in (([{"rule": "hello", "time": "1m", "cause": {"id": "5"}}], 0), ([{"rule": "hello", "time": "2m"}], 1)):
        scenario.write_text(yaml.safe_dump({"config": config, "scenarios": [
            {"name": "it", "events": [event], "until": "1d", "expect": expect}]}))
        done = run_command("test", scenario)
        assert done.returncode == code, done.stderr + done.stdout


# -- configuration


EFFECTIVE = {  # every key by the environment: what is written there, and what is in effect
    "KAFKA__BROKERS": ("a:1,b:2",) * 2, "KAFKA__GROUP": ("g",) * 2, "KAFKA__INSTANCE_ID": ("i",) * 2,
    "KAFKA__WAL": ("w",) * 2,
    "KAFKA__INPUTS": ("{a: {topic: t, format: ga4}}", {"a": {"topic": "t", "format": "ga4"}}),
    "KAFKA__DEAD_LETTERS": ("d",) * 2,
    "KAFKA__AUDIT": ("u",) * 2, "KAFKA__PROFILES": ("p",) * 2, "KAFKA__DELIVERY": ("at_least_once",) * 2,
    "KAFKA__PARTITIONER": ("crc32",) * 2, "KAFKA__PROPERTIES": ("{a.b: c}", {"a.b": "c"}),
    "KAFKA__CONSUMER": ("{a.b: c}", {"a.b": "c"}),
    "KAFKA__PRODUCER": ("{a.b: c}", {"a.b": "c"}), "REDIS__URL": ("redis://q:1/2",) * 2, "REDIS__PREFIX": ("x",) * 2,
    "REDIS__USERNAME": ("u",) * 2, "REDIS__TIMEOUT": ("7s",) * 2, "ENGINE__WORKERS": ("3", 3),
    "ENGINE__CACHE_BYTES_MAX": ("1GiB",) * 2,
    "ENGINE__DIRTY_BYTES_MAX": ("2MiB",) * 2, "ENGINE__STEP_EVENTS_MAX": ("5", 5), "ENGINE__CLOCK": ("record",) * 2,
    "MONEY__BASE_CURRENCY": ("SEK",) * 2, "MONEY__RATES": ("{JPY: 0.5}", {"JPY": 0.5}),
    "MONEY__RATES__USD": ("0.92", {"USD": 0.92}),
    "MONEY__MARGIN": ("40%", 0.4), "RFM__R": ("population",) * 2, "RFM__F": ("population",) * 2,
    "RFM__M": ("population",) * 2,
    "RFM__POPULATION_MIN": ("7", 7), "RFM__TIMEZONE": ("Europe/Paris",) * 2, "RFM__REFRESH": ("30m",) * 2,
    "RFM__THRESHOLDS__RECENCY_DAYS": ("[1, 2, 3, 4]", [1, 2, 3, 4]),
    "RFM__THRESHOLDS__FREQUENCY": ("[1, 2, 3, 4]", [1, 2, 3, 4]),
    "RFM__THRESHOLDS__MONETARY": ("[1, 2, 3, 4.5]", [1, 2, 3, 4.5]), "CHURN__HORIZON": ("30d",) * 2,
    "LIFECYCLE__AT_RISK": ("0.6", 0.6),
    "LIFECYCLE__LAPSED": ("10%", 0.1), "LTV__HORIZON": ("30d",) * 2, "SEGMENTS": ("rf-10",) * 2,
    "TRAITS": ("{a: {type: int}}", {"a": {"type": "int"}}), "ERASE__REMEMBER": ("5d",) * 2,
    "HTTP__LISTEN": ("127.0.0.1:1",) * 2,
    "LOG__LEVEL": ("debug",) * 2, "LOG__FORMAT": ("json",) * 2, "OUTPUT": ("structured",) * 2,
}


def test_every_key_by_the_environment(probe):
    """All at once, over a file; of keys that exclude each other the later by name."""
    whole = run_command("check", "-c", probe.config(VISITS), "--print",
                        env={f"RFMD_{name}": EFFECTIVE[name][0] for name in EFFECTIVE if name != "MONEY__RATES__USD"})
    assert whole.returncode == 0, whole.stderr
    printed = yaml.safe_load(whole.stdout)
    for name, (_, expected) in EFFECTIVE.items():
        if name == "MONEY__RATES__USD":
            continue
        value = printed
        for step in name.lower().split("__"):
            value = value[step]
        assert value == expected, name
    rate = run_command("check", "-c", probe.config(VISITS), "--print", env={"RFMD_MONEY__RATES__USD": "0.92"})
    assert yaml.safe_load(rate.stdout)["money"]["rates"] == {"USD": 0.92}, rate.stderr


def test_unknown_variables_are_errors_with_the_nearest_name(probe):
    done = run_command("check", "-c", probe.config(VISITS),
                       env={"RFMD_KAFKA__BROKERZ": "a:1", "RFMD_SERVICE_HOST": "10.0.0.1"})
    assert done.returncode == 1 and b"RFMD_KAFKA__BROKERZ" in done.stderr and b"kafka.brokers" in done.stderr
    assert b"SERVICE_HOST" not in done.stderr


def test_secrets_are_nowhere_to_be_seen(probe):
    (probe.folder / "file").write_text("hidden-in-a-file\n")
    config = probe.config(VISITS, redis={"url": "redis://me:hidden-in-a-url@h:1/0"}, promo={"secret_file": "file"},
                          http={"token_file": "file"}, kafka={"properties": {"sasl.password": "hidden-property"}})
    done = run_command("check", "-c", config, "--print", env={"RFMD_PROMO__SECRET": "hidden-variable"})
    assert b"hidden" not in done.stdout + done.stderr
    done = run_command("check", "-c", config, "--print")
    assert done.returncode == 0 and b"hidden" not in done.stdout
    assert yaml.safe_load(done.stdout)["promo"]["secret_file"].endswith("file")
    for section, key in (("redis", "password"), ("promo", "secret"), ("http", "token")):
        done = run_command("check", "-c", probe.config(VISITS, **{section: {key: "hidden"}}))
        assert done.returncode == 1 and b"_file" in done.stderr and b"hidden" not in done.stderr


def test_file_names_are_relative_to_the_file_that_names_them(probe, monkeypatch):
    config = probe.config(VISITS)
    elsewhere = probe.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run_command("check", "-c", "../rfmd.yaml").returncode == 0
    (elsewhere / "more.yaml").write_text("rules: [{name: more, on: {event: visit}}]\nsegments: {often: client.visits > 9}\n")
    (probe.folder / "last.yaml").write_text("rules: [{name: last, on: {enter: {segment: often}}}]\n")
    config.write_text(config.read_text().replace("- rules.yaml", "- rules.yaml\n- elsewhere/more.yaml\n- last.yaml"))
    assert b"3 rules" in run_command("check", "-c", "../rfmd.yaml").stdout
    (probe.folder / "last.yaml").write_text("rules: [{name: more, on: {event: visit}}]\n")
    done = run_command("check", "-c", config)
    assert done.returncode == 1 and b"last.yaml:1:" in done.stderr and b"more" in done.stderr


@pytest.mark.parametrize("rates, code", [({"EUR": 1}, 0), ({"EUR": "1.00", "USD": 2}, 0), ({"EUR": 2}, 1), ({"USD": 0}, 1),
                                         ({"usd": 1}, 1)])
def test_rates(probe, rates, code):
    assert run_command("check", "-c", probe.config(VISITS, money={"base_currency": "EUR", "rates": rates})).returncode == code


EXAMPLE = """
rules:
  - name: win_back
    on: {fall: {activity_ratio: 0.3}}
    when: client.orders >= 2 && client.revenue > 100
    delay: 0s
    restart: false
    cancel_on: [purchase]
    class: marketing
    channels: [push, email, sms]
    once: false
    cooldown: 90d
    priority: 10
    expires: 24h
    schedule: {days: [mon, tue, wed, thu, fri], from: 2026-01-01, to: 2026-12-31}
    promo: {prefix: BACK, percent: 15, valid: 14d}
    experiment: {salt: winback-1, control: 10%, variants: [{name: a, share: 45%}, {name: b, share: 45%}]}
    attribution: 14d
    topic: triggers
    template: we_miss_you
    data: {favourite: client.favourite_category}
segments: {vip_at_risk: "client.revenue > 1000 && client.churn_risk > 0.5"}
policies:
  frequency_caps: [{class: marketing, max: 2, per: 7d}, {channel: sms, max: 1, per: 7d}, {rule: win_back, max: 3, per: 365d}, {max: 5, per: 1d}]
  quiet_hours: {from: "21:00", to: "09:00", default_timezone: UTC, jitter: 15m}
  holdout: {salt: global-1, share: 5%}
  consent: {marketing: opt_in, transactional: opt_out}
  max_trigger_age: off
  silent_until: 2026-01-01T00:00:00Z
"""


def test_every_key_of_a_rule_at_once(probe):
    config = probe.config(promo={"secret_file": "secret"})
    (probe.folder / "secret").write_text("s")
    (probe.folder / "rules.yaml").write_text(EXAMPLE)
    done = run_command("check", "-c", config)
    assert done.returncode == 0 and b"1 rules" in done.stdout, done.stderr
    out = Outcome(replay(config, [probe.events([purchase(), visit()])], probe.folder))
    assert out.triggers == out.audit == []
