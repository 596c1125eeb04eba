"""Facts of a client: a function of its events, with the windows that the contract gives to repeats and refunds."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from .decode import Event, time_text
from .profile import Profile
from .scores import DAY_MS, Settings, gap_quantile_days, rfm_fixed, segment_of

IDS_MAX, ID_WINDOW_MS = 32, 48 * 3_600_000
ORDERS_MAX, ORDER_WINDOW_MS = 16, 90 * DAY_MS
LATENESS_DAYS = 63


@dataclass
class Order:
    """One of the last 16: an order, or refunds that wait for theirs (`amount` None)."""

    order_id: str
    time_ms: int
    amount: int | None = None
    refunded: int = 0
    refunded_whole: int = 0

    def taken_off(self) -> int:
        if self.amount is None:
            return self.refunded
        return self.amount if self.refunded_whole else min(self.refunded, self.amount)


@dataclass
class Facts:
    client_id: str
    orders: int = 0
    refunds: int = 0
    revenue: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    x: int = 0
    visits: int = 0
    last_visit_ms: int | None = None
    messages: dict = field(default_factory=dict)
    consent: dict = field(default_factory=dict)
    bouncing: set = field(default_factory=set)
    categories: Counter = field(default_factory=Counter)
    seen: list = field(default_factory=list)
    recent: list = field(default_factory=list)
    newest_ms: int = 0
    unknown_orders: int = 0
    purchase_times: list = field(default_factory=list)
    net_of_day: Counter = field(default_factory=Counter)
    settings: Settings = field(default_factory=Settings)
    profile: Profile | None = None
    _days: set = field(default_factory=set)

    def __post_init__(self):
        self.profile = Profile(self.settings)

    # -- repeats

    def is_repeat(self, event: Event) -> bool:
        for kind, name, time_ms in self.seen:
            if (kind, name) == (event.type, event.id) and abs(time_ms - event.time_ms) <= ID_WINDOW_MS:
                return True
        if event.type != "purchase":
            return False
        order = self._find(event.order_id)
        return (order is not None and order.amount is not None
                and abs(order.time_ms - event.time_ms) <= ORDER_WINDOW_MS)

    def _find(self, order_id: str) -> Order | None:
        return next((order for order in reversed(self.recent) if order.order_id == order_id), None)

    def _remember(self, order: Order) -> None:
        self.recent.append(order)
        if len(self.recent) > ORDERS_MAX:
            out = self.recent.pop(0)
            self.unknown_orders += out.refunded_whole if out.amount is None else 0

    # -- events

    def apply(self, event: Event) -> bool:
        """False: a repeat, which has no effect."""
        if self.is_repeat(event):
            return False
        self.seen = (self.seen + [(event.type, event.id, event.time_ms)])[-IDS_MAX:]
        self.newest_ms = max(self.newest_ms, event.time_ms)
        getattr(self, "_apply_" + event.type, lambda _: None)(event)
        self.profile.apply(event)
        return True

    def _apply_purchase(self, event: Event) -> None:
        order = self._find(event.order_id)
        if order is None or order.amount is not None:
            order = Order(event.order_id, event.time_ms)
            self._remember(order)
        before = order.taken_off()
        order.amount, order.time_ms = event.amount_minor, event.time_ms
        self.revenue += before - order.taken_off()
        self.refunds += order.refunded_whole
        if event.amount_minor == 0:
            return
        self.orders += 1
        self.revenue += event.amount_minor
        self.net_of_day[event.time_ms // DAY_MS] += event.amount_minor - order.taken_off()
        self.categories.update(event.categories)
        self._bought_on(event.time_ms // DAY_MS)
        self.first_ms = event.time_ms if self.first_ms is None else min(self.first_ms, event.time_ms)
        self.last_ms = event.time_ms if self.last_ms is None else max(self.last_ms, event.time_ms)
        self.purchase_times.append(event.time_ms)

    def _bought_on(self, day: int) -> None:
        if self.last_ms is None:
            self._days = {day}
            return
        last = max(self.last_ms // DAY_MS, day)
        known = day == self.first_ms // DAY_MS if day < last - LATENESS_DAYS else day in self._days
        self.x += not known
        self._days = {d for d in self._days | {day} if d >= last - LATENESS_DAYS}

    def _apply_refund(self, event: Event) -> None:
        order = self._find(event.order_id)
        if order is None:
            order = Order(event.order_id, event.time_ms)
            self._remember(order)
        before = order.taken_off()
        if event.amount_minor is None:
            order.refunded_whole += 1
            self.refunds += order.amount is not None
        else:
            order.refunded += event.amount_minor
            self.refunds += 1
        self.revenue += before - order.taken_off()
        if order.amount is not None:
            self.net_of_day[order.time_ms // DAY_MS] += before - order.taken_off()

    def _apply_visit(self, event: Event) -> None:
        self.visits += 1
        self.last_visit_ms = max(self.last_visit_ms or 0, event.time_ms)

    def _apply_message(self, event: Event) -> None:
        self.messages.setdefault(event.channel, Counter())[event.status] += 1
        if event.status == "bounced" and event.permanent:
            self.bouncing.add(event.channel)
        elif event.status == "delivered":
            self.bouncing.discard(event.channel)
        elif event.status in ("unsubscribed", "complained"):
            self._answer(event.channel, "marketing", event.time_ms, False)
            if event.status == "complained":
                self._answer(event.channel, "transactional", event.time_ms, False)

    def _apply_consent(self, event: Event) -> None:
        self._answer(event.channel, event.class_, event.time_ms, event.granted)

    def _answer(self, channel: str, class_: str, time_ms: int, granted: bool) -> None:
        before = self.consent.get((channel, class_))
        if before is None or (time_ms, not granted) > (before[0], not before[1]):
            self.consent[channel, class_] = (time_ms, granted)

    # -- at a moment

    @property
    def t_x(self) -> int:
        return self.last_ms // DAY_MS - self.first_ms // DAY_MS

    def idle_days(self, now_ms: int) -> float:
        return (now_ms - self.last_ms) / DAY_MS

    def activity_ratio(self, now_ms: int, settings: Settings) -> float:
        return settings.model.activity_ratio(self.x, self.t_x, self.idle_days(now_ms), settings.horizon_days)

    def lifecycles(self, now_ms: int, settings: Settings) -> set[str]:
        """More than one where the contract leaves room: from which instant the gap before the last day is counted."""
        if self.last_ms is None:
            return {"prospect"}
        ratio = self.activity_ratio(now_ms, settings)
        if ratio <= settings.lapsed:
            return {"lapsed"}
        rest = "at_risk" if ratio <= settings.at_risk else "new" if self.x == 0 else "active"
        return {"reactivated" if lapsed else rest for lapsed in self._lapsed_before_last_day(settings)}

    def _lapsed_before_last_day(self, settings: Settings) -> set[bool]:
        last_day = self.last_ms // DAY_MS
        earlier = [time for time in self.purchase_times if time // DAY_MS < last_day]
        if not earlier:
            return {False}
        x = len({time // DAY_MS for time in earlier}) - 1
        first, last = min(earlier), max(earlier)
        t_x = last // DAY_MS - first // DAY_MS
        gaps = (last_day - last // DAY_MS, (last_day * DAY_MS - last) / DAY_MS, (self.last_ms - last) / DAY_MS)
        return {settings.model.activity_ratio(x, t_x, gap, settings.horizon_days) <= settings.lapsed for gap in gaps}

    def rfms(self, now_ms: int, settings: Settings) -> list[tuple[int, int, int]]:
        """Fixed RFM by idle time, and by calendar days where that differs."""
        days = now_ms // DAY_MS - self.last_ms // DAY_MS
        scores = [rfm_fixed(idle, self.orders, self.revenue, settings.thresholds)
                  for idle in (self.idle_days(now_ms), days)]
        return list(dict.fromkeys(scores))

    def view(self, now_ms: int, settings: Settings) -> dict:
        """The part of the contract's JSON that this model computes."""
        digits = settings.digits[settings.base_currency]
        view = {
            "client_id": self.client_id, "as_of": time_text(now_ms), "orders": self.orders, "refunds": self.refunds,
            "revenue": money_text(self.revenue, digits), "currency": settings.base_currency,
            "avg_order": money_text(round(Fraction(self.revenue, self.orders)), digits) if self.orders else None,
            "first_purchase": None, "last_purchase": None, "visits": self.visits,
            "last_visit": None if self.last_visit_ms is None else time_text(self.last_visit_ms),
            "messages": {channel: dict(counts) for channel, counts in self.messages.items()},
            **self.profile.view(self.categories, self.messages),
        }
        if self.last_ms is None:
            return view
        model, x, t_x, idle = settings.model, self.x, self.t_x, self.idle_days(now_ms)
        p_active = model.p_active(x, t_x, idle, settings.horizon_days)
        view.update({
            "first_purchase": time_text(self.first_ms), "last_purchase": time_text(self.last_ms),
            "x": x, "t_x": t_x, "age": t_x + idle, "p_alive": model.p_alive(x, t_x, idle), "p_active": p_active,
            "churn_risk": 1.0 - p_active, "activity_ratio": self.activity_ratio(now_ms, settings),
            "expected_orders": model.expected_orders(x, t_x, idle, settings.ltv_horizon_days),
        })
        return view

    def expected_next_ms(self, settings: Settings) -> float | None:
        if self.last_ms is None or self.x == 0:
            return None
        return self.last_ms + gap_quantile_days(settings.model, self.x, self.t_x, 0.5) * DAY_MS

    def predicted_minor(self, now_ms: int, settings: Settings) -> float | None:
        """Expected orders times the mean of repeat spend; the first day's amount is kept apart."""
        if self.last_ms is None or settings.model.spend is None:
            return None
        scale = 10 ** settings.digits[settings.base_currency]
        repeat = max(0, self.revenue - self.net_of_day[self.first_ms // DAY_MS]) / scale
        mean = settings.model.mean_spend(self.x, repeat / self.x if self.x else 0.0)
        orders = settings.model.expected_orders(self.x, self.t_x, self.idle_days(now_ms), settings.ltv_horizon_days)
        return None if mean is None else mean * orders * scale

    def segments(self, now_ms: int, settings: Settings) -> set[str]:
        if self.last_ms is None:
            return {"prospect"}
        return {segment_of(rfm) for rfm in self.rfms(now_ms, settings)}


def money_text(minor: int, digits: int) -> str:
    sign, minor = ("-" if minor < 0 else ""), abs(minor)
    if digits == 0:
        return f"{sign}{minor}"
    whole, rest = divmod(minor, 10**digits)
    return f"{sign}{whole}.{rest:0{digits}d}"
