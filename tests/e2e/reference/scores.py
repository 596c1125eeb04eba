"""Scores of one client at one moment: MBG/NBD with the evidence cap, fixed RFM, classic-11, lifecycle."""
from __future__ import annotations

import math
from dataclasses import dataclass, field

from scipy.special import hyp2f1

DAY_MS = 86_400_000

SEGMENTS = {
    "champions": "555 554 544 545 454 455 445",
    "loyal": "543 444 435 355 354 345 344 335",
    "potential_loyalist": "553 551 552 541 542 533 532 531 452 451 442 441 431 453 433 432 423 353 352 351 342 341 333 323",
    "new_customers": "512 511 422 421 412 411 311",
    "promising": "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313",
    "need_attention": "535 534 443 434 343 334 325 324",
    "about_to_sleep": "331 321 312 221 213 231 241 251",
    "at_risk_customers": "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124",
    "cannot_lose": "155 154 144 214 215 115 114 113",
    "hibernating": "332 322 233 232 223 222 132 123 122 212 211",
    "lost": "111 112 121 131 141 151",
}
SEGMENT_OF = {cell: name for name, cells in SEGMENTS.items() for cell in cells.split()}
assert len(SEGMENT_OF) == 125


@dataclass(frozen=True)
class Model:
    """MBG/NBD parameters in `unit_days` days; evidence_cap None is the plain model."""

    r: float = 0.52484
    alpha: float = 6.1831
    a: float = 0.89135
    b: float = 1.61399
    unit_days: float = 7.0
    evidence_cap: float | None = 5.0
    spend: tuple[float, float, float] | None = None  # p, q, v of Gamma-Gamma

    def strength(self, x: int) -> float:
        return self.r + x * self._fade(x)

    def beta(self, x: int, t_x_days: float) -> float:
        return self.alpha + t_x_days / self.unit_days * self._fade(x)

    def _fade(self, x: int) -> float:
        return 1.0 if self.evidence_cap is None else 1.0 / (1.0 + x / self.evidence_cap)

    def p_alive(self, x: int, t_x_days: float, idle_days: float) -> float:
        s, beta = self.strength(x), self.beta(x, t_x_days)
        dead = self.a / (self.b + x) * ((beta + idle_days / self.unit_days) / beta) ** s
        return 1.0 / (1.0 + dead)

    def p_active(self, x: int, t_x_days: float, idle_days: float, horizon_days: float) -> float:
        s = self.strength(x)
        before = self.beta(x, t_x_days) + idle_days / self.unit_days
        silent = (before / (before + horizon_days / self.unit_days)) ** s
        return self.p_alive(x, t_x_days, idle_days) * (1.0 - silent)

    def activity_ratio(self, x: int, t_x_days: float, idle_days: float, horizon_days: float) -> float:
        now = self.p_active(x, t_x_days, idle_days, horizon_days)
        return now / self.p_active(x, t_x_days, 0.0, horizon_days)

    def expected_orders(self, x: int, t_x_days: float, idle_days: float, horizon_days: float) -> float:
        """As published, by 2F1; s for r + x, beta + u for alpha + T."""
        s, horizon = self.strength(x), horizon_days / self.unit_days
        before = self.beta(x, t_x_days) + idle_days / self.unit_days
        z = horizon / (before + horizon)
        bracket = 1.0 - (1.0 - z) ** s * hyp2f1(s, self.b + x + 1, self.a + self.b + x, z)
        return self.p_alive(x, t_x_days, idle_days) * (self.a + self.b + x) / (self.a - 1.0) * bracket

    def mean_spend(self, x: int, mean: float) -> float | None:
        p, q, v = self.spend
        return (v + x * mean) * p / (p * x + q - 1.0) if p * x + q > 1.0 else None


@dataclass(frozen=True)
class Thresholds:
    recency_days: tuple = (30, 90, 180, 365)
    frequency: tuple = (2, 3, 5, 10)
    monetary_minor: tuple = (5000, 10000, 25000, 50000)


@dataclass(frozen=True)
class Settings:
    """The part of the configuration that facts and scores depend on."""

    model: Model = field(default_factory=Model)
    horizon_days: float = 90.0
    ltv_horizon_days: float = 365.0
    at_risk: float = 0.5
    lapsed: float = 0.2
    thresholds: Thresholds = field(default_factory=Thresholds)
    base_currency: str = "EUR"
    rates: dict = field(default_factory=dict)
    traits: dict = field(default_factory=lambda: {"age": "int", "birth_date": "date", "tier": "string", "vip": "bool"})
    erase_remember_ms: int = 30 * DAY_MS
    digits: dict = field(default_factory=lambda: {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3})


def rfm_fixed(idle_days: float, orders: int, revenue_minor: int, thresholds: Thresholds) -> tuple[int, int, int]:
    r = 5 - sum(idle_days > edge for edge in thresholds.recency_days)
    f = 1 + sum(orders >= edge for edge in thresholds.frequency)
    m = 1 + sum(revenue_minor >= edge for edge in thresholds.monetary_minor)
    return r, f, m


def segment_of(rfm: tuple[int, int, int]) -> str:
    return SEGMENT_OF["%d%d%d" % rfm]


def first_second_at_or_below(ratio_at_ms, threshold: float, after_ms: int) -> int:
    """The first whole second at or after `after_ms` at which a falling function is <= threshold; by bisection."""
    low = -(-after_ms // 1000)
    if ratio_at_ms(low * 1000) <= threshold:
        return low * 1000
    step = 1
    while ratio_at_ms((low + step) * 1000) > threshold:
        step *= 2
        if step > 2**40:
            return 2**62
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if ratio_at_ms(middle * 1000) <= threshold:
            high = middle
        else:
            low = middle
    return high * 1000


def gap_quantile_days(model: Model, x: int, t_x_days: float, q: float) -> float:
    """g_q of the client's own posterior with the cap's s and beta; half-time for q = .5. math only, x > 0."""
    assert x > 0
    return model.unit_days * model.beta(x, t_x_days) * math.expm1(-math.log1p(-q) / model.strength(x))
