"""The business's figures from whole lists of events: sets and sums, nothing incremental.

Events are dicts as in NDJSON, in order of arrival, none of them refused or repeated; orders stay within their client's window."""
from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from .decode import amount_minor, parse_time_ms
from .scores import Settings

STAGES = ("visit", "view_item", "add_to_cart", "begin_checkout")
COHORT_MONTHS = 24


def half_even(value: Fraction) -> int:
    return int((Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(1), ROUND_HALF_EVEN))


def share(part, whole):
    return part / whole if whole else None


@dataclass
class Person:
    orders: list = field(default_factory=list)  # (day, net)
    moved: list = field(default_factory=list)  # (day, minor): what counts as revenue
    source: str | None = None
    stages: set = field(default_factory=set)  # (month, stage)
    nps: int | None = None
    csat: float | None = None
    complaints: int = 0

    @property
    def first(self) -> date:
        return min(day for day, _ in self.orders)

    @property
    def months(self) -> set:
        return {month_of(day) for day, _ in self.orders}

    @property
    def revenue(self) -> int:
        return sum(minor for _, minor in self.moved)


def month_of(day: date) -> str:
    return day.strftime("%Y-%m")


def month_number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:]) - 1


def month_text(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


class Kpi:
    def __init__(self, events: list[dict], settings: Settings, zone: str = "UTC"):
        self.settings, self.zone = settings, ZoneInfo(zone)
        self.people: dict[str, Person] = {}
        self.costs: list = []  # (day, minor, campaign)
        self.events: dict = defaultdict(int)  # (day, stage)
        by_client = defaultdict(list)
        for event in events:
            by_client[event["client_id"]].append(event)
        for client, own in by_client.items():
            self.people[client] = self._person(own)

    def day(self, event: dict) -> date:
        moment = datetime.fromtimestamp(parse_time_ms(event["time"]) // 1000, timezone.utc)
        return moment.astimezone(self.zone).date()

    def _person(self, events: list[dict]) -> Person:
        person = Person()
        self._trade(person, events)
        ordered = sorted(events, key=lambda event: (parse_time_ms(event["time"]), event["id"]))
        for event in ordered:
            person.source = person.source or event.get("campaign")
            day = self.day(event)
            if event["type"] == "visit":
                for stage in STAGES:
                    if stage in ("visit", event.get("action")):
                        person.stages.add((month_of(day), stage))
                        self.events[day, stage] += 1
            elif event["type"] == "cost":
                minor = amount_minor(event["amount"], event.get("currency"), self.settings)
                self.costs.append((day, minor, event.get("campaign")))
            elif event["type"] == "feedback":
                self._feedback(person, event)
        return person

    @staticmethod
    def _feedback(person: Person, event: dict) -> None:
        if event["kind"] == "nps":
            person.nps = event["score"]
        elif event["kind"] == "csat":
            person.csat = event["score"]
        elif event["kind"] == "complaint":
            person.complaints += 1

    def _trade(self, person: Person, events: list[dict]) -> None:
        orders = {event["order_id"]: event for event in events if event["type"] == "purchase"}
        refunds = defaultdict(list)
        for event in events:
            if event["type"] == "refund":
                refunds[event["order_id"]].append(event)
        for order_id, order in orders.items():
            amount = amount_minor(order["amount"], order.get("currency"), self.settings)
            taken = 0
            for refund in refunds.pop(order_id, []):
                if refund.get("amount") is None:
                    taken = amount
                else:
                    currency = refund.get("currency") or order.get("currency")
                    taken += amount_minor(refund["amount"], currency, self.settings)
            net = amount - min(taken, amount)
            person.moved.append((self.day(order), net))
            if amount:
                person.orders.append((self.day(order), net))
        for waiting in refunds.values():
            first = min(self.day(refund) for refund in waiting)
            for refund in waiting:
                if refund.get("amount") is not None:
                    person.moved.append((first, -amount_minor(refund["amount"], refund.get("currency"), self.settings)))

    # -- figures, of all or of those who came from `source`

    def of(self, source=None) -> list[Person]:
        return [person for person in self.people.values() if source is None or person.source == source]

    def period(self, key: str, source=None) -> dict:
        """key: a month, or a day in ISO form."""
        within = lambda day: day.isoformat().startswith(key)  # noqa: E731
        people = self.of(source)
        orders = sum(within(day) for person in people for day, _ in person.orders)
        revenue = sum(minor for person in people for day, minor in person.moved if within(day))
        buyers = [person for person in people if any(within(day) for day, _ in person.orders)]
        new = sum(bool(person.orders) and within(person.first) for person in people)
        cost = sum(minor for day, minor, campaign in self.costs if within(day) and source in (None, campaign))
        result = {
            "orders": orders, "revenue": revenue,
            "average_order": half_even(Fraction(revenue, orders)) if orders else None,
            "buyers": len(buyers), "frequency": share(orders, len(buyers)), "new_clients": new,
            "returning_rate": share(sum(len(person.orders) >= 2 for person in buyers), len(buyers)),
            "cost": cost, "cac": half_even(Fraction(cost, new)) if new else None, "retention": None, "churn_rate": None,
        }
        if len(key) == 7:
            before = month_text(month_number(key) - 1)
            old = {id(person) for person in people if before in person.months}
            kept = share(sum(id(person) in old for person in buyers), len(old))
            result |= {"retention": kept, "churn_rate": None if kept is None else 1 - kept}
        return result

    def funnel(self, month: str, source=None) -> dict:
        people = self.of(source)
        result = {stage: sum((month, stage) in person.stages for person in people) for stage in STAGES}
        return result | {"purchase": sum(month in person.months for person in people)}

    def event_counts(self, key: str) -> dict:
        counts = {stage: sum(n for (day, of), n in self.events.items() if of == stage and day.isoformat().startswith(key))
                  for stage in STAGES}
        return {"visits": counts.pop("visit"), **counts, "orders": self.period(key)["orders"]}

    def cohorts(self, to: str, source=None) -> dict[str, list]:
        last = month_number(to)
        members = defaultdict(list)
        for person in self.of(source):
            if person.orders:
                members[month_number(month_of(person.first))].append(person)
        result = {}
        for first in range(last - COHORT_MONTHS + 1, last + 1):
            if members[first]:
                size = len(members[first])
                row = [share(sum(month_text(first + later) in person.months for person in members[first]), size)
                       for later in range(1, min(COHORT_MONTHS, last - first + 1))]
                result[month_text(first)] = [size, *row, *[None] * (COHORT_MONTHS - 1 - len(row))]
        return result

    def answers(self, source=None) -> dict:
        people = self.of(source)
        nps = [person.nps for person in people if person.nps is not None]
        csat = [person.csat for person in people if person.csat is not None]
        return {
            "nps": share(100 * (sum(score >= 9 for score in nps) - sum(score <= 6 for score in nps)), len(nps)),
            "nps_answers": len(nps), "csat": share(sum(csat), len(csat)), "csat_answers": len(csat),
            "open_complaints": sum(person.complaints for person in people),
        }

    def top_share(self) -> float:
        """Of those with purchases, who bring 80 %."""
        revenues = sorted((person.revenue for person in self.people.values() if person.orders), reverse=True)
        goal, reached = .8 * sum(revenues), 0
        for count, revenue in enumerate(revenues, 1):
            reached += revenue
            if reached >= goal:
                return count / len(revenues)
        raise AssertionError("nothing was earned")
