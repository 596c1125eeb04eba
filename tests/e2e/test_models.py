"""The models beside the Python package lifetimes, an implementation of its own, at random clients."""
import math
import random
import subprocess

import numpy as np
import pandas as pd
import pytest
from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter

from harness.rfmd import binary

pytestmark = pytest.mark.rfmd
CLIENTS = 10_000
FITTERS = {"mbg": ModifiedBetaGeoFitter, "bg": BetaGeoFitter}


def points(kind: str, rows) -> list[tuple[float, float, float]]:
    """P(alive), expected purchases, log-likelihood by the C code."""
    lines = "".join(" ".join([kind, *(repr(float(value)) for value in row)]) + "\n" for row in rows)
    done = subprocess.run([binary().parent / "model_points"], input=lines, capture_output=True, text=True, check=True)
    return [tuple(map(float, line.split())) for line in done.stdout.splitlines()]


def parameter_sets(seed: int, count: int) -> list[tuple[float, float, float, float]]:
    draw = random.Random(seed)
    spread = lambda low, high: math.exp(draw.uniform(math.log(low), math.log(high)))  # noqa: E731
    published = [(0.52484, 6.1831, 0.89135, 1.61399), (0.242593, 4.41352, 0.792905, 2.42581)]
    return published + [(spread(.1, 5), spread(1, 60), spread(.2, 6), spread(.5, 20)) for _ in range(count - 2)]


def random_client(draw: random.Random) -> tuple[int, float, float, float]:
    age = draw.uniform(1, 200)
    x = 0 if draw.random() < .3 else int(math.exp(draw.uniform(0, math.log(300))))
    return x, draw.uniform(0, age) if x else 0.0, age, draw.uniform(1, 60)


@pytest.mark.parametrize("kind", FITTERS)
def test_lifetimes_agrees(kind):
    draw, compared = random.Random(7), 0
    for parameters in parameter_sets(3, 20):
        fitter = FITTERS[kind]()
        fitter.params_ = pd.Series(dict(zip(("r", "alpha", "a", "b"), parameters)))
        x, t_x, age, t = np.array([random_client(draw) for _ in range(CLIENTS // 20)]).T
        found = np.array(points(kind, np.column_stack([np.tile(parameters, (len(x), 1)), x, t_x, age, t])))
        with np.errstate(all="ignore"):
            alive = np.ravel(fitter.conditional_probability_alive(x, t_x, age))
            expected = np.ravel(fitter.conditional_expected_number_of_purchases_up_to_time(t, x, t_x, age))
        assert np.isfinite(found).all()
        known = np.isfinite(alive)
        assert np.abs(found[known, 0] - alive[known]).max() < 1e-6
        known = np.isfinite(expected)
        worst = np.argmax(np.where(known, np.abs(found[:, 1] - expected), 0))
        assert abs(found[worst, 1] - expected[worst]) < 1e-6, (parameters, x[worst], t_x[worst], age[worst], t[worst])
        compared += known.sum()
    assert compared > CLIENTS * .9


@pytest.mark.parametrize("kind", FITTERS)
def test_where_lifetimes_has_no_number(kind):
    """x to 100,000 and a near 1: finite, and falling with idle time."""
    for a in (0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 3.0):
        for x in (300, 1150, 1200, 5000, 100_000):
            ages = [x / 30 + idle for idle in (0, .1, 1, 10, 100, 1000)]
            found = points(kind, [(.5, 6, a, 1.6, x, x / 30, age, 39) for age in ages])
            assert all(math.isfinite(value) for row in found for value in row)
            for (alive, expected, _), (later_alive, later_expected, _) in zip(found, found[1:]):
                assert later_alive <= alive <= 1 and later_expected <= expected
                assert 0 <= expected <= 39 * (x + .5) / (6 + x / 30) * (1 + 1e-12)
    near, at, above = (points(kind, [(.5, 6, a, 1.6, 1200, 40, 41, 39)])[0][1] for a in (1 - 1e-9, 1.0, 1 + 1e-9))
    assert near == pytest.approx(at, rel=1e-8) and above == pytest.approx(at, rel=1e-8)
