"""The commands that need no service: version, help, check, replay, gen; and client beside a live one."""
import json
import re
import time

import pytest
import yaml

from harness.rfmd import MODEL, base_config, merged, replay, run_command, write_config
from reference.decode import Refused, decode, parse_time_ms, time_text
from reference.facts import Facts
from reference.rules import ClientRules, trigger_id
from reference.scores import DAY_MS, Model, Settings

pytestmark = pytest.mark.rfmd
COMMANDS = ("run", "check", "demo", "replay", "test", "fit", "client", "report", "gen", "version")
T0 = parse_time_ms("2025-03-01T12:00:00Z")
RULES = [
    {"name": "thank_you", "on": {"event": "purchase"}, "class": "transactional", "channels": ["email"], "topic": "triggers"},
    {"name": "welcome", "on": {"enter": {"lifecycle": "new"}}, "class": "transactional", "channels": ["email"],
     "topic": "triggers"},
    {"name": "review", "on": {"event": "purchase"}, "delay": "7d", "cancel_on": ["refund"], "class": "transactional",
     "channels": ["email"], "topic": "triggers"},
    {"name": "win_back", "on": {"fall": {"activity_ratio": 0.3}}, "class": "marketing", "channels": ["email"],
     "cooldown": "90d", "topic": "triggers"},
]


@pytest.fixture
def config(tmp_path):
    """Writes a configuration with overrides; the path."""

    def write(rules=RULES, model=None, **overrides):
        return write_config(tmp_path / "rfmd.yaml", merged(base_config(tmp_path, rules, model), overrides))

    return write


def text(output: bytes) -> str:
    return output.decode(errors="replace")


# -- version, help, usage


def test_version():
    done = run_command("version")
    assert done.returncode == 0
    assert re.search(r"\d+\.\d+", text(done.stdout)) and "librdkafka" in text(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each(command):
    done = run_command(command, "--help")
    assert done.returncode == 0 and command in text(done.stdout) and done.stderr == b""


def test_help_names_all_commands():
    done = run_command("--help")
    assert done.returncode == 0
    assert all(command in text(done.stdout) for command in COMMANDS)


@pytest.mark.parametrize("arguments", [(), ("dance",), ("run",), ("check",), ("check", "--colour"), ("replay",),
                                       ("version", "--loud"), ("client", "-c"), ("report",), ("report", "more")])
def test_wrong_usage(arguments):
    done = run_command(*arguments, timeout_s=10)
    assert done.returncode == 2 and done.stderr and done.stdout == b""


# -- check


def test_check_is_content(config):
    done = run_command("check", "-c", config())
    assert done.returncode == 0, text(done.stderr)


def errors_of(done) -> str:
    return text(done.stdout) + text(done.stderr)


def test_check_names_each_error_with_its_place(config, tmp_path):
    path = config(rules=[{"name": "Bad Name", "on": {"event": "purchase"}, "channels": ["email"]},
                         {"name": "no_such_event", "on": {"event": "dance"}, "channels": ["email"]},
                         {"name": "wrong_type", "on": {"event": "purchase"}, "delay": "soon", "channels": ["email"]}],
                  kafka={"brokerz": "x:1"}, churn={"horizon": "a while"})
    done = run_command("check", "-c", path)
    assert done.returncode == 1
    lines = errors_of(done).splitlines()
    for file, word in ((path, "brokerz"), (path, "horizon"), (tmp_path / "rules.yaml", "Bad Name"),
                       (tmp_path / "rules.yaml", "dance"), (tmp_path / "rules.yaml", "soon")):
        own = [line for line in file.read_text().splitlines()]
        at = next(number for number, line in enumerate(own, 1) if word in line)
        pattern = re.compile(rf"{re.escape(str(file))}:{at}:\d+: .+")
        assert any(pattern.search(line) for line in lines), f"no error at {file}:{at} ({word}) in\n" + "\n".join(lines)
    assert any("brokerz" in line and re.search(r"\bbrokers\b", line) for line in lines), "the nearest name is not given"


@pytest.mark.parametrize("override, word", [
    ({"money": {"base_currency": None}}, "base_currency"), ({"engine": {"workers": -1}}, "workers"),
    ({"engine": {"clock": "moon"}}, "clock"), ({"redis": {"url": "gopher://x"}}, "url"),
    ({"kafka": {"partitioner": "dice"}}, "partitioner"), ({"rfm": {"timezone": "Europe/Nowhere"}}, "timezone"),
    ({"lifecycle": {"lapsed": 1.5}}, "lapsed"), ({"surprise": True}, "surprise"), ({"model": "/nowhere.yaml"}, "nowhere"),
    ({"rules": ["/nowhere.yaml"]}, "nowhere"), ({"http": {"listen": "here"}}, "listen"),
    ({"redis": {"prefix": "a{b}"}}, "prefix"),
])
def test_check_finds(config, override, word):
    done = run_command("check", "-c", config(**override))
    assert done.returncode == 1 and word in errors_of(done), errors_of(done)


@pytest.mark.parametrize("rule, word", [
    ({"on": {"event": "purchase"}, "colour": "red"}, "colour"), ({"on": {}}, "on"), ({}, "on"),
    ({"on": {"fall": {"activity_ratio": "low"}}}, "activity_ratio"), ({"on": {"enter": {"lifecycle": "dead"}}}, "dead"),
    ({"on": {"enter": {"segment": "nobody"}}}, "nobody"), ({"on": {"event": "purchase"}, "class": "spam"}, "class"),
    ({"on": {"event": "purchase"}, "cancel_on": ["dance"]}, "dance"),
])
def test_check_finds_in_rules(config, rule, word):
    done = run_command("check", "-c", config(rules=[{"name": "r", "channels": ["email"], "topic": "triggers", **rule}]))
    assert done.returncode == 1 and word in errors_of(done), errors_of(done)


def test_two_rules_of_one_name(config):
    done = run_command("check", "-c", config(rules=[RULES[0], RULES[0]]))
    assert done.returncode == 1 and "thank_you" in errors_of(done)


def test_broken_yaml(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("kafka:\n  brokers: [a\n")
    done = run_command("check", "-c", path)
    assert done.returncode == 1 and re.search(rf"{path}:\d+:\d+: ", errors_of(done))


def test_a_missing_file(tmp_path):
    done = run_command("check", "-c", tmp_path / "none.yaml")
    assert done.returncode in (1, 3) and "none.yaml" in errors_of(done)


def test_print_redacts_and_takes_the_environment(config, tmp_path):
    path = config(kafka={"properties": {"sasl.password": "open sesame", "sasl.username": "me"}},
                  redis={"url": "redis://:another-secret@127.0.0.1:6379/0"})
    done = run_command("check", "-c", path, "--print", env={"RFMD_KAFKA__BROKERS": "from-the-environment:9092"})
    assert done.returncode == 0, errors_of(done)
    printed = text(done.stdout)
    assert "from-the-environment:9092" in printed and "open sesame" not in printed and "another-secret" not in printed
    effective = yaml.safe_load(printed)
    assert effective["churn"]["horizon"] == "90d" and effective["lifecycle"]["lapsed"] == 0.2


# -- replay


def purchase(client: str, number: int, day: float, amount="10.00", **fields) -> dict:
    return {"type": "purchase", "id": f"{client}-{number}", "client_id": client, "time": T0 + int(day * DAY_MS),
            "order_id": f"{client}-o{number}", "amount": amount, "currency": "EUR", **fields}


def consent(client: str) -> dict:
    return {"type": "consent", "id": f"{client}-y", "client_id": client, "time": T0, "channel": "email", "granted": True}


STORY = [consent("a"), purchase("a", 0, 0), purchase("b", 0, 1), purchase("a", 1, 20), purchase("a", 1, 20),
         {"type": "refund", "id": "r", "client_id": "b", "time": T0 + 3 * DAY_MS, "order_id": "b-o0", "amount": "4.00"},
         {"type": "visit", "id": "v", "client_id": "c", "time": T0 + 200 * DAY_MS}]
STORY.sort(key=lambda event: event["time"])


def written(path, events) -> object:
    path.write_text("".join(json.dumps(event) + "\n" if isinstance(event, dict) else event + "\n" for event in events))
    return path


def reference(events, until_ms) -> dict[str, ClientRules]:
    clients, clock = {}, 0
    for fields in events:
        try:
            event = decode(json.dumps(fields).encode(), Settings())
        except Refused:
            continue
        clock = max(clock, event.time_ms)
        clients.setdefault(event.client_id, ClientRules(RULES, Settings(), Facts(event.client_id))).event(event, clock)
    for client in clients.values():
        client.advance(until_ms)
    return clients


def triggers_of(out) -> list[tuple]:
    return sorted((t["client_id"], t["rule"], t["id"], t["time"]) for t in map(json.loads, out["triggers"]))


def expected_triggers(clients) -> list[tuple]:
    return sorted((o.client_id, o.rule, o.id, time_text(o.time_ms)) for c in clients.values() for o in c.sent)


def test_predicted_value_equals_the_reference(config, tmp_path):
    spend = {"p": 6.2497, "q": 3.7442, "v": 15.4432}
    settings = Settings(model=Model(spend=tuple(spend.values())), ltv_horizon_days=730)
    out = replay(config(model={**MODEL, "spend": spend}, ltv={"horizon": "730d"}),
                 [written(tmp_path / "e.ndjson", STORY)], tmp_path)
    until, checked = T0 + 200 * DAY_MS, 0
    clients = reference(STORY, until)
    for state in map(json.loads, out["clients"]):
        facts = clients[state["client_id"]].facts
        expected = facts.predicted_minor(until, settings)
        found = state["ltv"]["predicted"]
        assert (found is None) == (expected is None)
        if expected is not None:
            assert abs(float(found) * 100 - expected) <= 0.5 + 1e-6
            checked += 1
    assert checked >= 2


@pytest.mark.sanitizer
def test_replay_equals_the_reference(config, tmp_path):
    out = replay(config(), [written(tmp_path / "e.ndjson", STORY)], tmp_path)
    until = T0 + 200 * DAY_MS
    clients = reference(STORY, until)
    assert triggers_of(out) == expected_triggers(clients)
    states = {state["client_id"]: state for state in map(json.loads, out["clients"])}
    assert states.keys() == clients.keys()
    from harness.fire import state_differences

    for name, client in clients.items():
        assert state_differences(client.facts.view(until, Settings()), states[name]) == []
        assert states[name]["lifecycle"] in client.facts.lifecycles(until, Settings())
        assert states[name]["segment"] in client.facts.segments(until, Settings())
    next_ms = parse_time_ms(states["a"]["expected_next_purchase"])
    assert abs(next_ms - clients["a"].facts.expected_next_ms(Settings())) <= 1
    assert states["b"]["expected_next_purchase"] is None and states["c"]["rfm"] is None
    held_back = sorted((a["client_id"], a["rule"], a["suppressed_by"]) for a in map(json.loads, out["audit"]))
    assert held_back == sorted((o.client_id, o.rule, o.suppressed_by) for c in clients.values() for o in c.held_back)


def test_a_trigger_s_value(config, tmp_path):
    out = replay(config(), [written(tmp_path / "e.ndjson", STORY)], tmp_path)
    trigger = next(t for t in map(json.loads, out["triggers"]) if (t["rule"], t["client_id"]) == ("thank_you", "b"))
    assert trigger["id"] == trigger_id("thank_you", "b", "purchase\x1fb-0")
    assert trigger["cause"] == {"type": "purchase", "id": "b-0"} and trigger["class"] == "transactional"
    assert trigger["channel"] == "email" and trigger["time"] == time_text(T0 + DAY_MS)
    assert trigger["client"]["orders"] == 1 and trigger["client"]["revenue"] == "10.00"
    assert trigger["client"]["lifecycle"] == "new"
    assert trigger.keys() >= {"id", "rule", "class", "client_id", "time", "cause", "channel", "template", "variant", "promo",
                              "data", "client", "rules_version"}
    assert trigger["promo"] is None and trigger["data"] is None and trigger["variant"] is None


def test_until_includes_its_instant(config, tmp_path):
    file = written(tmp_path / "e.ndjson", STORY)
    for until, review in ((T0 + 7 * DAY_MS - 1, False), (T0 + 7 * DAY_MS, True)):
        out = replay(config(), [file], tmp_path, until)
        rules = [trigger["rule"] for trigger in map(json.loads, out["triggers"])]
        assert ("review" in rules) == review
        assert {state["as_of"] for state in map(json.loads, out["clients"])} == {time_text(until)}
    out = replay(config(), [file], tmp_path, time_text(T0 + 400 * DAY_MS))
    assert triggers_of(out) == expected_triggers(reference(STORY, T0 + 400 * DAY_MS))


def test_until_cuts_refused_events_too(config, tmp_path):
    """Whole, or ended by hand where --until ends it: the same."""
    late = {**purchase("b", 9, 30), "amount": "-1"}
    early = [purchase("a", 0, 0), {**purchase("a", 1, 1), "amount": "-1"}, "not json", purchase("a", 2, 2)]
    cut = replay(config(), [written(tmp_path / "e.ndjson", early)], tmp_path, T0 + 10 * DAY_MS)
    whole = [*early, purchase("b", 1, 11), "not json", late, purchase("b", 2, 31), late]
    assert replay(config(), [written(tmp_path / "f.ndjson", whole)], tmp_path, T0 + 10 * DAY_MS) == cut
    assert len(cut["dead-letters"]) == 2


def test_partitions_change_nothing_in_structured_mode(config, tmp_path):
    """The envelope has the time that a header has otherwise."""
    rule = {"name": "later", "on": {"event": "visit"}, "delay": "1h", "class": "transactional", "channels": ["email"],
            "topic": "triggers"}
    visits = [{"type": "visit", "id": f"v{i}", "client_id": f"c{i}", "time": T0 + i * 1000} for i in range(40)]
    file = written(tmp_path / "e.ndjson", visits)
    one, many = (replay(config(rules=[rule], output="structured"), [file], tmp_path, T0 + DAY_MS, "--partitions", n)
                 for n in (1, 8))
    assert one == many
    envelopes = [json.loads(line) for line in one["triggers"]]
    assert [envelope["subject"] for envelope in envelopes] == [visit["client_id"] for visit in visits]
    assert all(envelope["data"]["time"] == envelope["time"] for envelope in envelopes)


def test_partitions_change_nothing(config, tmp_path):
    lost = [{"type": "refund", "id": f"{client}-{number}", "client_id": client, "time": time_text(T0), "order_id": f"o{number}"}
            for number in range(18) for client in ("x", "y", "z")]
    bad = [{**purchase(client, 99, 0), "amount": "-1"} for client in ("a", "b", "c", "x", "y")]
    file = written(tmp_path / "e.ndjson", [*bad, *lost, *bad, *STORY])
    one, many = (replay(config(), [file], tmp_path, None, "--partitions", n) for n in (1, 16))
    assert one == many and len(one["dead-letters"]) == 16 and len(one["triggers"]) > 0
    places = [json.loads(letter)["headers"] for letter in one["dead-letters"]]
    assert [int(place["rfmd.offset"]) for place in places[:5]] == list(range(5))


def test_replay_twice_is_byte_for_byte(config, tmp_path):
    file = written(tmp_path / "e.ndjson", STORY)
    assert replay(config(), [file], tmp_path) == replay(config(), [file], tmp_path)


def test_a_file_may_begin_with_a_byte_order_mark(config, tmp_path):
    plain = [written(tmp_path / f"plain-{n}", events) for n, events in enumerate((STORY[::2], STORY[1::2]))]
    marked = [tmp_path / f"marked-{n}" for n in range(2)]
    for file, of in zip(marked, plain):
        file.write_bytes(b"\xef\xbb\xbf" + of.read_bytes())
    whole = replay(config(), marked, tmp_path)
    assert whole == replay(config(), plain, tmp_path) and not whole["dead-letters"]
    marked[0].write_bytes(plain[0].read_bytes() + b"\xef\xbb\xbf" + plain[0].read_bytes().splitlines(True)[0])
    assert len(replay(config(), marked[:1], tmp_path)["dead-letters"]) == 1  # in the middle it is no mark


def test_several_files_are_merged_by_time(config, tmp_path):
    files = [written(tmp_path / f"{part}.ndjson", STORY[part::2]) for part in range(2)]
    together = replay(config(), [written(tmp_path / "e.ndjson", STORY)], tmp_path)
    assert replay(config(), files, tmp_path) == together


def test_an_empty_file(config, tmp_path):
    out = replay(config(), [written(tmp_path / "e.ndjson", [])], tmp_path)
    assert all(lines == [] for lines in out.values())


def test_malformed_lines_are_dead_letters_and_the_rest_goes_on(config, tmp_path):
    bad = ["", "not json", "{", json.dumps({**purchase("a", 7, 1), "amount": "-1"}), "[" * 3000, "null",
           json.dumps({**purchase("a", 8, 1), "time": "1980-01-01T00:00:00Z"})]
    events = [bad[0], purchase("a", 0, 0), *bad[1:4], purchase("a", 1, 2), *bad[4:]]
    out = replay(config(), [written(tmp_path / "e.ndjson", events)], tmp_path)
    assert json.loads(out["clients"][0])["orders"] == 2
    reasons = " ".join(line.decode() for line in out["dead-letters"])
    assert len(out["dead-letters"]) in (len(bad), len(bad) - 1)  # an empty line may be a record or none
    assert all(reason in reasons for reason in ("malformed", "bad_amount", "time_too_old"))


def test_the_last_line_without_an_end_and_windows_lines(config, tmp_path):
    file = tmp_path / "e.ndjson"
    file.write_bytes("\r\n".join(json.dumps(purchase("a", number, number)) for number in range(3)).encode())
    out = replay(config(), [file], tmp_path)
    assert json.loads(out["clients"][0])["orders"] == 3 and out["dead-letters"] == []


def test_standard_output(config, tmp_path):
    file = written(tmp_path / "e.ndjson", STORY)
    done = run_command("replay", "-c", config(), "--events", file, "--triggers", "-")
    assert done.returncode == 0
    assert done.stdout.splitlines() == replay(config(), [file], tmp_path)["triggers"]


def test_files_that_are_not_there(config, tmp_path):
    done = run_command("replay", "-c", config(), "--events", tmp_path / "none.ndjson")
    assert done.returncode in (1, 3) and "none.ndjson" in text(done.stderr)
    file = written(tmp_path / "e.ndjson", STORY)
    done = run_command("replay", "-c", config(), "--events", file, "--clients", "/nowhere/clients")
    assert done.returncode in (1, 3) and "/nowhere/clients" in text(done.stderr)
    assert run_command("replay", "-c", config(), "--events", file, "--until", "soon").returncode in (1, 2)


def test_late_events_do_not_change_facts(config, tmp_path):
    """The set of events decides, not its order."""
    events = [purchase("a", number, day) for number, day in enumerate((0, 3, 3.2, 9, 30, 31, 50, 55))]
    events.append({"type": "refund", "id": "r", "client_id": "a", "time": T0, "order_id": "a-o3", "amount": "3.00"})
    until = T0 + 60 * DAY_MS
    out = [replay(config(rules=[]), [written(tmp_path / "e.ndjson", order)], tmp_path, until)["clients"]
           for order in (events, events[::-1], events[4:] + events[:4])]
    marks = ("segment", "previous_segment", "segment_since", "due", "triggers")
    states = [{key: value for key, value in json.loads(lines[0]).items() if key not in marks} for lines in out]
    assert states[0] == states[1] == states[2] and states[0]["x"] == 6


# -- gen


def test_gen_is_seeded_and_sound(tmp_path):
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        files.append(tmp_path / f"{name}.ndjson")
        done = run_command("gen", "--clients", 50, "--events", 1000, "--seed", seed, "--output", files[-1])
        assert done.returncode == 0, text(done.stderr)
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    lines = first.splitlines()
    assert 500 <= len(lines) <= 1000
    events = [decode(line, Settings()) for line in lines]
    assert 1 < len({event.client_id for event in events}) <= 50
    assert {"purchase", "visit"} <= {event.type for event in events}


# -- client


def test_client(cluster):
    live = cluster().start()
    writer = live.writer()
    for event in STORY:
        writer.send(live.inputs[0], event["client_id"], event)
    writer.flush()
    live.settle()
    path = live.config_path
    as_of = time_text(T0 + 300 * DAY_MS)
    done = run_command("client", "-c", path, "a", "--as-of", as_of)
    assert done.returncode == 0, text(done.stderr)
    one = json.loads(done.stdout)
    assert one == live.clients(as_of)["a"] and one["as_of"] == as_of and one["orders"] == 2
    assert one.keys() >= {"rfm", "segment", "previous_segment", "segment_since", "lifecycle", "due", "triggers", "consent",
                          "messages", "favourite_categories", "preferred_channel", "visits", "last_visit"}
    two = run_command("client", "-c", path, "a", "b", "--as-of", as_of)
    assert two.returncode == 0 and b'"b"' in two.stdout
    early = run_command("client", "-c", path, "a", "--as-of", time_text(T0 + 10 * DAY_MS))
    assert early.returncode == 1 and early.stderr
    unknown = run_command("client", "-c", path, "nobody")
    assert unknown.returncode == 1 and "nobody" in text(unknown.stderr)
    both = run_command("client", "-c", path, "nobody", "a")
    assert both.returncode == 1 and "nobody" in text(both.stderr) and b'"a"' in both.stdout
    ahead = run_command("client", "-c", path, "--all", "--as-of", time_text(T0 + 10 * DAY_MS))
    assert ahead.returncode == 1 and ahead.stderr
    assert [json.loads(line)["client_id"] for line in ahead.stdout.splitlines()] == ["b"]  # the others have later events
    assert run_command("client", "-c", path, "a", "--as-of", "soon").returncode in (1, 2)
    live.redis.kill()
    away = run_command("client", "-c", path, "a", timeout_s=60)
    assert away.returncode == 3 and away.stderr


def test_client_whose_clock_is_ahead(cluster):
    live = cluster().start()
    ahead_ms = int(time.time() * 1000) // 1000 * 1000 + 300_000
    with_clock = {"type": "visit", "id": "v", "client_id": "a", "time": ahead_ms}
    writer = live.writer()
    writer.send(live.inputs[0], "a", with_clock)
    writer.flush()
    live.settle()
    done = run_command("client", "-c", live.config_path, "--all")
    assert done.returncode == 0 and json.loads(done.stdout)["as_of"] == time_text(ahead_ms), text(done.stderr)
    assert run_command("client", "-c", live.config_path, "a", "--as-of", time_text(ahead_ms - 1000)).returncode == 1
