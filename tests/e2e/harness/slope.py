"""Does a series rise? Slopes by least squares with 95 % intervals that know of samples which resemble their neighbours."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

HOUR_S = 3600.0


@dataclass(frozen=True)
class Slope:
    """A straight line's rise for an hour, and how far on either side of it the true one may lie."""

    an_hour: float
    half: float
    mean: float

    @property
    def from_zero(self) -> bool:
        """The interval does not hold 0."""
        return abs(self.an_hour) > self.half

    def beyond(self, tolerance: float) -> bool:
        """Different from 0, and by more than matters."""
        return self.from_zero and abs(self.an_hour) > tolerance


def slope(times_s: list[float], values: list[float]) -> Slope:
    assert len(times_s) == len(values) >= 4, "a slope needs four samples"
    if min(values) == max(values):
        return Slope(0.0, 0.0, values[0])
    line = stats.linregress(times_s, values)
    rest = np.asarray(values) - line.intercept - line.slope * np.asarray(times_s)
    half = stats.t.ppf(0.975, len(values) - 2) * line.stderr * _widened(rest)
    return Slope(line.slope * HOUR_S, half * HOUR_S, float(np.mean(values)))


def _widened(rest: np.ndarray) -> float:
    """Of neighbours that resemble each other by r, n tell as much as n (1 - r) / (1 + r) that do not."""
    power = float(rest @ rest)
    alike = float(rest[1:] @ rest[:-1]) / power if power > 0 else 0.0
    alike = min(max(alike, 0.0), 0.95)
    return math.sqrt((1 + alike) / (1 - alike))
