"""`rfmd fit`: published figures on CDNOW, parameters that are known, files as shops export them, what it refuses."""
import json
import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.rfmd import base_config, run_command, write_config
from harness.simulate import SPEND, TRUTH, UNTIL, purchases_csv

pytestmark = pytest.mark.rfmd
HOLDOUT = ("--until", "1997-09-30", "--holdout", 273)


def rows() -> list[tuple[str, str, str]]:
    """(client, day, amount) of CDNOW's 1/10 sample."""
    log = Path(find_spec("lifetimes").origin).parent / "datasets" / "CDNOW_sample.txt"
    lines = (line.split() for line in log.read_text().splitlines())
    return [(f[1], f"{f[2][:4]}-{f[2][4:6]}-{f[2][6:]}", f[4]) for f in lines if len(f) == 5 and f[2].isdigit()]


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cdnow") / "cdnow.csv"
    path.write_text("client_id,date,amount\n" + "".join(",".join(row) + "\n" for row in rows()))
    return path


def fit(*arguments, exit_code=0, stdin=None):
    done = run_command("fit", *arguments, stdin=stdin)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == exit_code, f"exit {done.returncode}\n{out}{err}"
    return out, err


def fitted(path: Path, *arguments, **more) -> dict:
    model = path.parent / "fitted.yaml"
    fit("--purchases", path, "-o", model, *arguments, **more)
    return yaml.safe_load(model.read_text())


def errors_in(report: str) -> dict[str, float]:
    return {name: float(error) for name, error in re.findall(r"^  (\w+) +\S+ +standard error (\S+)", report, re.M)}


def trials_in(report: str) -> dict[str, list[float]]:
    found = re.findall(r"^  (none|recency alone|\d+) +(0\.\d{8} .*)$", report, re.M)
    return {name: [float(value) if value != "-" else None for value in values.split()] for name, values in found}


# -- CDNOW


def test_the_published_models(cdnow):
    """The printed figures stopped a little short of the top: the last digit may differ, the likelihood does not."""
    mbg = fitted(cdnow, "--until", "1997-09-30")
    for name, value in {"r": .52484, "alpha": 6.1831, "a": .89135, "b": 1.61399}.items():
        assert mbg[name] == pytest.approx(value, abs=2e-5)
    assert mbg["fitted"]["log_likelihood"] == pytest.approx(-9582.1357, abs=1e-4)
    assert mbg["fitted"]["clients"] == 2357 and str(mbg["fitted"]["until"]) == "1997-09-30"
    assert mbg["model"] == "mbg_nbd" and mbg["unit"] == "week" and mbg["evidence_cap"] == 5
    for name, value in {"p": 6.2497, "q": 3.7442, "v": 15.4432}.items():
        assert mbg["spend"][name] == pytest.approx(value, abs=5e-4)
    bg = fitted(cdnow, "--until", "1997-09-30", "--model", "bg_nbd")
    for name, value in {"r": .242593, "alpha": 4.41352, "a": .792905, "b": 2.42581}.items():
        assert bg[name] == pytest.approx(value, abs=1e-4)
    assert bg["fitted"]["log_likelihood"] == pytest.approx(-9582.4292, abs=1e-4)


def histories(until: str, end: str) -> list[tuple[int, int, int, bool]]:
    """(x, t_x, age, bought in (until, end]) of each client, by plain sets."""
    days: dict = {}
    for client, day, _ in rows():
        days.setdefault(client, set()).add(np.datetime64(day))
    result = []
    for bought in days.values():
        seen = sorted(day for day in bought if day <= np.datetime64(until))
        if seen:
            later = any(np.datetime64(until) < day <= np.datetime64(end) for day in bought)
            result.append((len(seen) - 1, int((seen[-1] - seen[0]).astype(int)),
                           int((np.datetime64(until) - seen[0]).astype(int)), later))
    return result


def test_at_the_top_the_gradient_vanishes(cdnow):
    """By another implementation's derivatives."""
    from scipy.special import psi

    x, t_x, age, _ = np.array(histories("1997-09-30", "1997-09-30"), dtype=float).T
    t_x, age = t_x / 7, age / 7
    model = fitted(cdnow, "--until", "1997-09-30")
    r, alpha, a, b = (model[name] for name in ("r", "alpha", "a", "b"))
    alive, gone = -(r + x) * np.log(alpha + age), np.log(a / (b + x)) - (r + x) * np.log(alpha + t_x)
    share = 1 / (1 + np.exp(alive - gone))
    slopes = [
        psi(r + x) - psi(r) + np.log(alpha) - (1 - share) * np.log(alpha + age) - share * np.log(alpha + t_x),
        r / alpha - (r + x) * ((1 - share) / (alpha + age) + share / (alpha + t_x)),
        psi(a + b) - psi(a + b + x + 1) + share / a,
        psi(a + b) + psi(b + x + 1) - psi(b) - psi(a + b + x + 1) - share / (b + x),
    ]
    assert [abs(slope.sum() * value) for slope, value in zip(slopes, (r, alpha, a, b))] == pytest.approx([0] * 4, abs=1e-4)


def test_the_published_holdout(cdnow):
    report, _ = fit("--purchases", cdnow, *HOLDOUT)
    assert "2357 clients, 1411 of them bought on one day only; 2457 repeat purchase days" in report
    assert "684 of the 2357 clients bought, on 1882 days in all" in report
    trials = trials_in(report)
    assert trials["none"][0] == pytest.approx(.76010327, abs=1e-8)
    assert trials["5"][0] == pytest.approx(.77412019, abs=1e-6)  # one pair of clients changes places
    assert trials["none"][2] == pytest.approx(565.743, abs=.01) and trials["5"][2] == pytest.approx(573.024, abs=.01)
    bg, _ = fit("--purchases", cdnow, *HOLDOUT, "--model", "bg_nbd")
    assert trials_in(bg)["none"][0] == pytest.approx(.757, abs=5e-4)


def test_the_report_equals_plain_sums(cdnow):
    """AUC, log loss and deciles from each client by itself."""
    report, _ = fit("--purchases", cdnow, *HOLDOUT, "--cap", 5, "-o", cdnow.parent / "five.yaml")
    model = yaml.safe_load((cdnow.parent / "five.yaml").read_text())
    r, alpha, a, b = (model[name] for name in ("r", "alpha", "a", "b"))
    x, t_x, age, later = np.array(histories("1997-09-30", "1998-06-30"), dtype=float).T
    fade = 1 / (1 + x / 5)
    s, beta, idle = r + x * fade, alpha + t_x / 7 * fade, (age - t_x) / 7
    chance = (1 - ((beta + idle) / (beta + idle + 39)) ** s) / (1 + a / (b + x) * ((beta + idle) / beta) ** s)
    chance = np.round(chance, 9)  # equal histories by equal numbers
    hits, misses = chance[later == 1], chance[later == 0]
    auc = ((hits[:, None] > misses).mean() + (hits[:, None] == misses).mean() / 2)
    loss = -np.where(later == 1, np.log(chance), np.log(1 - chance)).mean()
    assert trials_in(report)["5"][:3] == pytest.approx([auc, loss, chance.sum()], abs=1e-6, rel=1e-5)
    recency = (idle[later == 1][:, None] < idle[later == 0]).mean() + (
        idle[later == 1][:, None] == idle[later == 0]).mean() / 2
    assert trials_in(report)["recency alone"][0] == pytest.approx(recency, abs=1e-8)
    decile = np.floor(10 * (chance[:, None] > chance).sum(1) / len(chance)).astype(int)
    shown = re.findall(r"^ +(\d+) +\d+ +\S+ +\S+ +(\d+) +(\S+) +(\S+)", report.split("Calibration")[1], re.M)
    assert len(shown) == 10
    for number, clients, predicted, observed in shown:
        those = decile == int(number) - 1
        assert int(clients) == those.sum()
        assert [float(predicted), float(observed)] == pytest.approx([chance[those].mean(), later[those].mean()], abs=6e-5)


def test_a_cap_is_proposed_and_written(cdnow):
    model = cdnow.parent / "proposed.yaml"
    report, _ = fit("--purchases", cdnow, *HOLDOUT, "-o", model)
    proposed = re.search(r"^Proposed evidence cap: (\d+)", report, re.M)[1]
    losses = {name: values[4] for name, values in trials_in(report).items() if len(values) > 4 and values[4]}
    assert min(losses, key=losses.get) == proposed
    assert yaml.safe_load(model.read_text())["evidence_cap"] == int(proposed)
    fit("--purchases", cdnow, *HOLDOUT, "-o", model, "--cap", "none")
    assert yaml.safe_load(model.read_text())["evidence_cap"] == "none"


def test_a_holdout_at_the_end_is_the_same(cdnow):
    """Where nothing is known after --until, the hold-out lies before it."""
    after, _ = fit("--purchases", cdnow, *HOLDOUT)
    assert fit("--purchases", cdnow, "--until", "1998-06-30", "--holdout", 273)[0] == after
    assert fit("--purchases", cdnow, "--holdout", 273)[0] == after


def test_the_plot_is_a_picture(cdnow):
    plot = cdnow.parent / "calibration.svg"
    fit("--purchases", cdnow, *HOLDOUT, "--plot", plot)
    root = ElementTree.parse(plot).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    points = [circle for circle in root.iter("{http://www.w3.org/2000/svg}circle") if len(circle)]
    assert len(points) == 30 and "script" not in plot.read_text()


def test_the_file_loads(cdnow, tmp_path):
    config = base_config(tmp_path)
    fit("--purchases", cdnow, *HOLDOUT, "-o", config["model"])
    done = run_command("check", "-c", write_config(tmp_path / "rfmd.yaml", config), "--print")
    assert done.returncode == 0, done.stderr.decode()
    fit("--purchases", cdnow, "--unit", "day", "--cap", "none", "-o", config["model"])
    assert run_command("check", "-c", tmp_path / "rfmd.yaml").returncode == 0
    _, told = fit("--purchases", cdnow, "--model", "bg_nbd", "-o", config["model"])
    assert "refuses this file" in told and run_command("check", "-c", tmp_path / "rfmd.yaml").returncode == 1


# -- files


def written(path: Path, text: str, encoding="utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_other_forms_of_the_same_file(cdnow, tmp_path):
    expected = fitted(cdnow)
    table = rows()
    forms = {
        "bom.csv": "\ufeffCustomer ID,Order Date,Total\r\n" + "".join(f'"{c}","{d}","{a}"\r\n' for c, d, a in table),
        "semicolons.csv": "user_id;order_id;created_at;value\n" + "".join(
            f"{c};{i};{d}T10:00:00Z;{a.replace('.', ',')}\n" for i, (c, d, a) in enumerate(table)),
        "tabs.tsv": "date\tnote\tcustomer\tamount\n" + "".join(
            f'{d.replace("-", "")}\t"two\nlines"\t{c}\t{a}\n' for c, d, a in table),
        "events.ndjson": "".join(json.dumps({
            "type": "purchase", "id": f"p{i}", "client_id": c, "order_id": f"o{i}", "amount": a, "currency": "USD",
            "time": int(datetime.fromisoformat(d + "T12:00:00").replace(tzinfo=timezone.utc).timestamp() * 1000),
        }) + "\n" for i, (c, d, a) in enumerate(table)),
    }
    forms["bom.ndjson"] = "\ufeff" + forms["events.ndjson"]
    # Begins like the mark and is none: full-width letters.
    forms["wide.csv"] = "\uff29\uff24,client_id,date,amount\n" + "".join(f"x,{c},{d},{a}\n" for c, d, a in table)
    for name, text in forms.items():
        assert fitted(written(tmp_path / name, text)) == expected, name
    out, _ = fit("--purchases", "-", stdin=cdnow.read_bytes())
    assert f"{expected['fitted']['log_likelihood']:.4f}" in out


def test_an_order_s_rows_count_once(cdnow, tmp_path):
    """The same order, day and amount; an order's parts, which differ, add up."""
    once = [(*row, f"o{number}") for number, row in enumerate(rows())]
    twice = [*once, *once[::3]]
    halves = [(client, day, amount, order) for client, day, whole, order in twice
              for amount in ((f"{float(whole) / 4:.4f}", f"{float(whole) * 3 / 4:.4f}") if float(whole) > 0 else (whole,))]
    expected = fitted(cdnow)
    for name, table in (("twice", twice), ("halves", halves)):
        file = written(tmp_path / f"{name}.csv", "client_id,date,amount,Order ID\n"
                       + "".join(",".join(row) + "\n" for row in table))
        found = fitted(file)
        names = ("r", "alpha", "a", "b")
        assert [found[name] for name in names] == pytest.approx([expected[name] for name in names], rel=1e-6)
        assert found["spend"] == pytest.approx(expected["spend"], rel=1e-4)
    file = written(tmp_path / "short.csv", "client_id,date,amount,order_id\n" + "".join(",".join(row) + "\n" for row in rows()))
    assert fitted(file) == expected  # rows that end before their order
    file = written(tmp_path / "without.csv", "client_id,date,amount\n" + "".join(",".join(row[:3]) + "\n" for row in twice))
    assert fitted(file)["spend"] != pytest.approx(expected["spend"], rel=1e-4)


def test_events_of_other_types_are_passed_over(cdnow, tmp_path):
    lines = [json.dumps({"type": "visit", "id": "v", "client_id": "c", "time": 1_000_000_000_000})]
    for i in range(60):
        lines += [json.dumps({"type": "purchase", "id": f"{i}-{j}", "client_id": f"c{i}", "order_id": f"{i}-{j}",
                              "amount": 5 + i, "currency": "JPY", "time": f"2025-{1 + j + i % 3:02d}-{1 + i % 28:02d}T10:00:00Z"})
                  for j in range(1 + i % 4)]
    out, _ = fit("--purchases", written(tmp_path / "e.ndjson", "\n".join(lines)), "--until", "2026-06-30", exit_code=1)
    assert out.startswith(f"{tmp_path}/e.ndjson: 150 rows, 60 clients\n")


def test_bad_rows_are_told_by_line(cdnow, tmp_path):
    lines = cdnow.read_text().splitlines()
    lines[3:3] = ["0001,1997-02-30,5.00", "0001,1997-02-03,-5.00", ",1997-02-03,5.00", '"0001"x,1997-02-03,5.00',
                  "0001,02/03/1997,5.00", "0001,1997-02-03"]
    path = written(tmp_path / "bad.csv", "\n".join(lines))
    out, told = fit("--purchases", path, "-o", tmp_path / "m.yaml")
    for line, what in ((4, "is not a date"), (5, "negative"), (6, "client is empty"), (7, "closing quote"),
                       (8, "which is the day"), (9, "2 fields")):
        assert re.search(rf"^{re.escape(str(path))}:{line}: .*{what}", told, re.M), what
    assert "6 rows were left out" in told
    assert yaml.safe_load((tmp_path / "m.yaml").read_text()) == fitted(cdnow)
    _, told = fit("--purchases", path, "--bad-rows", 5, exit_code=1)
    assert "more than 5 rows cannot be read" in told


@pytest.mark.parametrize("text, what", [
    ("", "the file is empty"),
    ("client_id,date,amount\n", "no purchase in it"),
    ("client_id,when,amount\nc,2025-01-01,5\n", "the first line has: client_id, when, amount"),
    ("a,b\n1,2\n", "no column of the client"),
    ("client_id,date,amount\n" + "".join(f"c{i},2025-01-{1 + i % 28:02d},5\n" for i in range(90)),
     "none of the 90 clients bought on a second day"),
    ("client_id,date,amount\n" + "".join(f"c{i},2025-{m:02d}-01,5\n" for i in range(90) for m in range(1, 13)),
     "the data do not tell"),
])
def test_what_it_refuses(tmp_path, text, what):
    _, told = fit("--purchases", written(tmp_path / "p.csv", text), "-o", tmp_path / "m.yaml", exit_code=1)
    assert what in told and not (tmp_path / "m.yaml").exists()


def test_utf16_is_named(tmp_path):
    _, told = fit("--purchases", written(tmp_path / "p.csv", "client_id,date,amount\n", "utf-16"), exit_code=1)
    assert "UTF-16" in told


@pytest.mark.parametrize("arguments, what", [
    ((), "--purchases FILE"),
    (("--from-state",), "no configuration"),
    (("--purchases", "x.csv", "--from-state"), "--from-state"),
    (("--purchases", "x.csv", "--until", "soon"), "--until 'soon' is not a date"),
    (("--purchases", "x.csv", "--model", "pareto"), "neither mbg_nbd nor bg_nbd"),
    (("--purchases", "x.csv", "--unit", "month"), "neither week nor day"),
    (("--purchases", "x.csv", "--holdout", "0"), "--holdout"),
    (("--purchases", "x.csv", "--cap", "-1"), "--cap"),
    (("--purchases", "x.csv", "--plot", "x.svg"), "--holdout"),
    (("x.csv",), "--purchases"),
])
def test_usage(arguments, what):
    _, told = fit(*arguments, exit_code=2)
    assert what in told


def test_no_such_file(tmp_path):
    _, told = fit("--purchases", tmp_path / "none.csv", exit_code=1)
    assert "none.csv: No such file" in told


def test_an_end_before_everything(cdnow):
    _, told = fit("--purchases", cdnow, "--until", "1990-01-01", exit_code=1)
    assert "lies before the first purchase" in told


# -- parameters that are known


def recovered(folder: Path, clients: int, seed: int) -> dict[str, bool]:
    path = purchases_csv(folder / "simulated.csv", clients, seed)
    model = folder / "simulated.yaml"
    report, _ = fit("--purchases", path, "--until", UNTIL, "--unit", "day", "-o", model)
    found, errors = yaml.safe_load(model.read_text()), errors_in(report)
    found.update(found["spend"])
    return {name: abs(found[name] - value) <= 2 * errors[name] for name, value in {**TRUTH, **SPEND}.items()}


def coverage(folder: Path, clients: int, runs: int) -> dict[str, float]:
    all_runs = [recovered(folder, clients, seed) for seed in range(runs)]
    return {name: sum(run[name] for run in all_runs) / runs for name in all_runs[0]}


def test_known_parameters_are_recovered(tmp_path):
    """20 runs; of 140 intervals of 95 % fewer than 124 hold the truth once in ten thousand times."""
    assert sum(coverage(tmp_path, 4000, 20).values()) * 20 >= 124


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_known_parameters_are_recovered_in_200_runs(tmp_path):
    shares = coverage(tmp_path, 4000, 200)
    print(shares)
    assert sum(shares.values()) / len(shares) >= .945
    assert min(shares.values()) >= .9


# -- the live state


def test_the_live_state_gives_what_its_purchases_give(cluster, tmp_path):
    gen = tmp_path / "made-up.ndjson"
    assert run_command("gen", "--clients", 3000, "--events", 12000, "--seed", 5, "--output", gen).returncode == 0
    purchases = [line for line in gen.read_text().splitlines() if json.loads(line)["type"] == "purchase"]
    live = cluster(processes=1)
    live.start()
    writer = live.writer()
    for line in purchases:
        event = json.loads(line)
        writer.send(live.inputs[0], event["client_id"], event)
    writer.flush()
    live.settle(120)
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    by_state, by_file = tmp_path / "state.yaml", tmp_path / "file.yaml"
    out, _ = fit("--from-state", "-c", live.config_path, "-o", by_state)
    fit("--purchases", written(tmp_path / "purchases.ndjson", "\n".join(purchases)), "--until", today, "-o", by_file)
    found, expected = (yaml.safe_load(path.read_text()) for path in (by_state, by_file))
    assert f"{expected['fitted']['clients']} clients in Redis, 0 of them without a purchase" in out
    assert found["fitted"] == expected["fitted"]
    for name in ("r", "alpha", "a", "b"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)
    assert found["spend"] == pytest.approx(expected["spend"], rel=1e-5)
    assert live.clients(), "it goes on"
