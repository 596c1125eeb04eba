"""Native events: bytes to a plain Event, or the reason why not."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from .partition import partition_of
from .scores import Settings

STATUSES = {"sent", "delivered", "opened", "clicked", "replied", "bounced", "complained", "unsubscribed"}
TYPES = {"purchase", "refund", "visit", "message", "consent", "feedback", "profile", "points", "cost", "erase"}
FEEDBACK = {"nps": (0, 10), "csat": (0, 100), "review": (0, 100), "complaint": None, "resolved": None}
YEAR_1990_MS = 631_152_000_000
FUTURE_MS = 600_000
RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class Refused(Exception):
    """The reason is one of those that may stand in `rfmd.reason`; the first is the expected one."""

    def __init__(self, *reasons: str):
        super().__init__(reasons[0])
        self.reasons = reasons


@dataclass
class Event:
    type: str
    id: str
    client_id: str
    time_ms: int
    order_id: str = ""
    amount_minor: int | None = None
    channel: str | None = None
    categories: tuple = ()
    status: str | None = None
    permanent: bool = True
    granted: bool | None = None
    class_: str = "marketing"
    cart_id: str | None = None
    fields: dict = field(default_factory=dict)


def parse_time_ms(value) -> int:
    if isinstance(value, bool) or value is None:
        raise Refused("bad_time", "wrong_type")
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        raise Refused("bad_time", "wrong_type")
    match = RFC3339.fullmatch(value)
    if not match:
        raise Refused("bad_time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = timedelta()
    if match[8] not in "Zz":
        offset = timedelta(hours=int(match[8][1:3]), minutes=int(match[8][4:6]))
        offset = -offset if match[8][0] == "-" else offset
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc) - offset
    except ValueError:
        raise Refused("bad_time") from None
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    milliseconds = int((match[7] or ".0")[1:].ljust(3, "0")[:3])
    return round((moment - epoch) / timedelta(milliseconds=1)) + milliseconds


def time_text(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ".%03dZ" % milliseconds


def amount_minor(raw, currency: str | None, settings: Settings) -> int:
    """Exact in the event's currency, converted half-even to the base's minor units."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int, Decimal)):
        raise Refused("wrong_type", "bad_amount")
    try:
        amount = Decimal(raw)
    except InvalidOperation:
        raise Refused("bad_amount", "bad_value") from None
    if not amount.is_finite() or amount < 0:
        raise Refused("bad_amount")
    currency = currency or settings.base_currency
    if currency != settings.base_currency and currency not in settings.rates:
        raise Refused("unknown_currency")
    scaled = amount.scaleb(settings.digits[currency])
    if scaled != scaled.to_integral_value():
        raise Refused("bad_amount")
    if currency == settings.base_currency:
        return int(scaled)
    base = amount * Decimal(str(settings.rates[currency]))
    return int(base.scaleb(settings.digits[settings.base_currency]).quantize(Decimal(1), ROUND_HALF_EVEN))


def _text(fields: dict, name: str, needed: bool = True) -> str | None:
    if fields.get(name) is None:
        if needed:
            raise Refused("missing_field", "wrong_type")
        return None
    if not isinstance(fields[name], str):
        raise Refused("wrong_type")
    if needed and not fields[name]:
        raise Refused("bad_value", "missing_field")
    return fields[name]


def decode(value: bytes | None, settings: Settings, append_ms: int | None = None) -> Event:
    if not value:
        raise Refused("empty", "malformed")
    try:
        fields = json.loads(value.decode("utf-8"), parse_float=Decimal)
    except (ValueError, RecursionError):
        raise Refused("malformed", "too_deep") from None
    if not isinstance(fields, dict):
        raise Refused("malformed", "wrong_type")
    kind = _text(fields, "type")
    if kind not in TYPES:
        raise Refused("unknown_type")
    event = Event(kind, _text(fields, "id"), _text(fields, "client_id"), 0, fields=fields)
    if len(event.client_id.encode()) > 128:
        raise Refused("bad_value", "too_large")
    if "time" not in fields:
        raise Refused("missing_field")
    event.time_ms = parse_time_ms(fields["time"])
    if event.time_ms < YEAR_1990_MS:
        raise Refused("time_too_old")
    if append_ms is not None and event.time_ms > append_ms + FUTURE_MS:
        raise Refused("time_in_future")
    event.cart_id = _text(fields, "cart_id", needed=False)
    _OF_TYPE[kind](event, fields, settings)
    return event


def _purchase(event: Event, fields: dict, settings: Settings) -> None:
    event.order_id = _text(fields, "order_id")
    if "amount" not in fields:
        raise Refused("missing_field")
    event.amount_minor = amount_minor(fields["amount"], _text(fields, "currency"), settings)
    event.channel = _text(fields, "channel", needed=False)
    items = fields.get("items") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refused("wrong_type")
    event.categories = tuple(dict.fromkeys(item["category"] for item in items if item.get("category")))


def _refund(event: Event, fields: dict, settings: Settings) -> None:
    event.order_id = _text(fields, "order_id")
    if fields.get("amount") is not None:
        event.amount_minor = amount_minor(fields["amount"], _text(fields, "currency", needed=False), settings)


def _visit(event: Event, fields: dict, settings: Settings) -> None:
    event.channel = _text(fields, "channel", needed=False)


def _message(event: Event, fields: dict, settings: Settings) -> None:
    event.status, event.channel = _text(fields, "status"), _text(fields, "channel")
    if event.status not in STATUSES:
        raise Refused("bad_value")
    event.permanent = fields.get("permanent", True)


def _consent(event: Event, fields: dict, settings: Settings) -> None:
    event.channel = _text(fields, "channel")
    if "granted" not in fields:
        raise Refused("missing_field")
    if not isinstance(fields["granted"], bool):
        raise Refused("wrong_type")
    event.granted = fields["granted"]
    event.class_ = fields.get("class") or "marketing"


def _feedback(event: Event, fields: dict, settings: Settings) -> None:
    kind = _text(fields, "kind")
    if kind not in FEEDBACK:
        raise Refused("bad_value")
    _text(fields, "case_id", needed=False)
    bounds, score = FEEDBACK[kind], fields.get("score")
    if score is None:
        if bounds:
            raise Refused("missing_field")
    elif isinstance(score, bool) or not isinstance(score, (int, Decimal)):
        raise Refused("wrong_type")
    elif bounds and not (bounds[0] <= score <= bounds[1] and (kind != "nps" or score == int(score))):
        raise Refused("bad_value")


def _profile(event: Event, fields: dict, settings: Settings) -> None:
    if not isinstance(fields.get("traits") or {}, dict):
        raise Refused("wrong_type")
    _text(fields, "timezone", needed=False)
    _text(fields, "language", needed=False)


def _points(event: Event, fields: dict, settings: Settings) -> None:
    if fields.get("delta") is None:
        raise Refused("missing_field")
    if isinstance(fields["delta"], bool) or not isinstance(fields["delta"], (int, Decimal)):
        raise Refused("wrong_type")
    if not isinstance(fields["delta"], int):
        raise Refused("bad_value")


def _cost(event: Event, fields: dict, settings: Settings) -> None:
    if "amount" not in fields:
        raise Refused("missing_field")
    event.amount_minor = amount_minor(fields["amount"], _text(fields, "currency"), settings)


_OF_TYPE = {"purchase": _purchase, "refund": _refund, "visit": _visit, "message": _message, "consent": _consent,
            "feedback": _feedback, "profile": _profile, "points": _points, "cost": _cost, "erase": lambda *_: None}


def decode_record(key: bytes | None, value: bytes | None, partition: int, partitions: int, append_ms: int,
                  settings: Settings) -> Event:
    """As `decode`, and the record's key and partition are looked at too."""
    event = decode(value, settings, append_ms)
    if key != event.client_id.encode():
        raise Refused("wrong_key")
    if partition_of(key, partitions) != partition:
        raise Refused("wrong_partition")
    return event
