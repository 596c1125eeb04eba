"""Writes the tables of expected values beside it: python3 expected.py (needs xxhash). None of it comes from rfmd.

The zone files are tzdata's (public domain) in the form of `zic -b slim`; `Test/...` are made here."""
import os
import random
import struct
import time
import zlib
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from pathlib import Path
from zoneinfo import ZoneInfo

import xxhash

HERE = Path(__file__).parent
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
random.seed(20260101)
getcontext().prec = 100


def tzif(version: bytes, times, indices, types, footer: bytes | None) -> bytes:
    """types: (offset, is_dst); one designation for all"""
    def block(width, code):
        data = b"TZif" + version + bytes(15) + struct.pack(">6I", 0, 0, 0, len(times), len(types), 4)
        data += b"".join(struct.pack(code, time) for time in times) + bytes(indices)
        return data + b"".join(struct.pack(">iBB", offset, dst, 0) for offset, dst in types) + b"ABC\0"
    if version == b"\0":
        return block(4, ">i")
    return block(4, ">i") + block(8, ">q") + b"\n" + footer + b"\n"


MADE = {
    "Version1": tzif(b"\0", [-2**31, 0, 86400 * 365], [1, 2, 1], [(1234, 0), (3600, 0), (7200, 1)], None),
    "AllYearDst": tzif(b"3", [], [], [(-10800, 0)], b"XXX3EDT4,0/0,J365/23"),
    "Julian": tzif(b"2", [], [], [(10800, 0)], b"AAA-3BBB,J60/2,J300/2"),
    "ZeroBased": tzif(b"2", [], [], [(10800, 0)], b"AAA-3BBB,59,299"),
    "South": tzif(b"3", [1000000000], [1], [(36000, 0), (39600, 1)], b"<+10>-10<+11>,M10.1.0/26,M4.1.0/-3"),
}
FOOTERS = {"Test/AllYearDst": "XXX3EDT4,0/0,J365/23", "Test/Julian": "AAA-3BBB,J60/2,J300/2",
           "Test/ZeroBased": "AAA-3BBB,59,299"}
ZONES = ["Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "America/Nuuk",
         "America/Havana", "Asia/Kathmandu", "Asia/Gaza", "Asia/Tokyo", "Australia/Lord_Howe", "Africa/Casablanca",
         "Africa/Monrovia", "Pacific/Apia", "Antarctica/Troll"]


def zone_of(name: str) -> ZoneInfo:
    with open(HERE / "zoneinfo" / name, "rb") as file:
        return ZoneInfo.from_file(file, key=name)


def zoneinfo_offset(name: str):
    zone = zone_of(name)
    return lambda time_s: round((EPOCH + timedelta(seconds=time_s)).astimezone(zone).utcoffset().total_seconds())


def libc_offset(name: str):
    """Of a footer alone where there is one: glibc ignores it in a file without transitions."""
    def offset(time_s: int) -> int:
        os.environ["TZ"] = FOOTERS.get(name, f":{HERE / 'zoneinfo' / name}")
        time.tzset()
        return time.localtime(time_s).tm_gmtoff
    return offset


def transition(offset_at, low: int, high: int) -> int:
    """The only instant in (low, high] from which another offset holds."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset_at(middle) == offset_at(low) else (low, middle)
    return high


def zone_rows(name: str):
    offset_at, libc_offset_at = zoneinfo_offset(name), libc_offset(name)
    if name == "Test/ZeroBased":  # zoneinfo (3.11) counts its days from 1
        offset_at = libc_offset_at
    step = 20 * 86400
    start, end = -2**31 + 86400 * 400, round((datetime(2120, 1, 1, tzinfo=timezone.utc) - EPOCH).total_seconds())
    found = []
    for low in range(start, end, step):
        if offset_at(low) != offset_at(low + step):
            found.append(transition(offset_at, low, low + step))
    picked = sorted(random.sample(found, min(8, len(found))) + found[-2:])
    instants = {at + around for at in picked for around in (-1, 0)}
    instants |= {random.randrange(start, end) for _ in range(4)}
    instants |= {round((datetime(2500, month, 15, tzinfo=timezone.utc) - EPOCH).total_seconds()) for month in (1, 7)}
    instants |= {round((datetime(9000, month, 15, tzinfo=timezone.utc) - EPOCH).total_seconds()) for month in (1, 7)}
    for at in instants:
        if offset_at(at) != libc_offset_at(at) and (at >= 0 or name not in FOOTERS):  # glibc: rules from 1970 on
            print(name, at, "zoneinfo and libc differ:", offset_at(at), libc_offset_at(at))
    return [(at, offset_at(at)) for at in sorted(instants)]


def day_start(name: str, day: int) -> int:
    """By brute force: the first minute of which the calendar day in the zone is `day` or later."""
    zone = zone_of(name)
    for minute in range(day * 1440 - 27 * 60, day * 1440 + 27 * 60):
        if (EPOCH + timedelta(minutes=minute)).astimezone(zone).date() >= date(1970, 1, 1) + timedelta(days=day):
            return minute * 60000
    raise AssertionError(name)


DAY_STARTS = [("Europe/Berlin", "2024-03-31"), ("Europe/Berlin", "2024-07-01"), ("America/Sao_Paulo", "2018-11-04"),
              ("America/Sao_Paulo", "2018-02-18"), ("Pacific/Apia", "2011-12-29"), ("Pacific/Apia", "2011-12-30"),
              ("Pacific/Apia", "2011-12-31"), ("America/St_Johns", "2010-11-07"), ("America/St_Johns", "2010-11-08"),
              ("America/Havana", "2024-11-03"), ("America/Havana", "2024-03-10"), ("Asia/Gaza", "2016-03-26"),
              ("Asia/Kathmandu", "1986-01-01"), ("Australia/Lord_Howe", "2026-04-05"), ("America/Nuuk", "2040-03-25")]


def write(name: str, lines) -> None:
    text = "/* Written by expected.py. */\n" + "".join(line + "\n" for line in lines)
    (HERE / name).write_text(text)


def zones() -> None:
    (HERE / "zoneinfo" / "Test").mkdir(exist_ok=True)
    for name, data in MADE.items():
        (HERE / "zoneinfo" / "Test" / name).write_bytes(data)
    write("zone_offsets.inc", (f'{{"{name}", INT64_C({at}), {offset}}},'
                               for name in ZONES + [f"Test/{made}" for made in MADE] for at, offset in zone_rows(name)))
    days = [(name, (date.fromisoformat(text) - date(1970, 1, 1)).days) for name, text in DAY_STARTS]
    write("zone_days.inc", (f'{{"{name}", {day}, INT64_C({day_start(name, day)})}},' for name, day in days))


def texts():
    yield from (b"", b"a", b"abc", b"client-1", b"rule\x1fclient\x1fpurchase\x1fe-1", bytes(range(256)))
    for length in (3, 8, 9, 16, 17, 128, 129, 240, 241, 1024):
        yield bytes(random.randrange(256) for _ in range(length))


def hashes() -> None:
    def row(text: bytes) -> str:
        escaped = "".join(f"\\{byte:03o}" for byte in text)
        return (f'{{"{escaped}", {len(text)}, UINT64_C(0x{xxhash.xxh3_64_intdigest(text):016x}), '
                f'"{xxhash.xxh3_128_hexdigest(text)}", 0x{zlib.crc32(text):08x}}},')
    write("hashes.inc", (row(text) for text in texts()))


def decimals() -> None:
    rows = []
    for _ in range(300):
        digits = random.choice([random.randrange(10 ** random.randrange(1, 19)), random.randrange(1000)])
        point = random.randrange(0, len(str(digits)) + 3)
        text = str(Decimal(digits).scaleb(-point)) if random.random() < 0.5 else f"{Decimal(digits).scaleb(-point):f}"
        if random.random() < 0.3:
            text += random.choice(["e1", "E2", "e-3", "e+0", "e0"]) if "E" not in text else ""
        text = random.choice(["", "", "-"]) + text
        value = Decimal(text)
        sign, numerals, exponent = value.normalize().as_tuple()
        number = int("".join(map(str, numerals))) * (-1 if sign else 1)
        number, scale = (number * 10 ** exponent, 0) if exponent >= 0 else (number, -exponent)
        code = "0" if -2**63 <= number < 2**63 and scale <= 18 else "RFM_E_RANGE"
        rows.append(f'{{"{text}", {code}, INT64_C({number if code == "0" else 0}), {scale if code == "0" else 0}}},')
    write("decimals.inc", rows)


def conversions() -> None:
    rows = []
    for _ in range(400):
        base, other = random.choice([0, 2, 2, 3]), random.choice([0, 2, 3, 4])
        amount = random.choice([random.randrange(10 ** random.randrange(1, 16)), random.randrange(200)])
        rate_scale = random.randrange(0, 12)
        rate = random.choice([random.randrange(1, 10 ** random.randrange(1, 10)), 5, 25, 125])
        exact = Decimal(amount).scaleb(-other) * Decimal(rate).scaleb(-rate_scale)
        minor = int(exact.scaleb(base).quantize(Decimal(1), ROUND_HALF_EVEN))
        fits = minor < 2**63
        rows.append(f'{{{base}, {other}, INT64_C({amount}), INT64_C({rate}), {rate_scale}, '
                    f'{"0" if fits else "RFM_E_RANGE"}, INT64_C({minor if fits else 0})}},')
    write("conversions.inc", rows)


def times() -> None:
    rows = []
    for _ in range(200):
        moment = datetime(1, 1, 2, tzinfo=timezone.utc) + timedelta(milliseconds=random.randrange(315537000000000))
        zone = timezone(timedelta(minutes=random.choice([0, 60, -90, 345, -720, 840, 1439, -1439])))
        at_ms = (moment - EPOCH) // timedelta(milliseconds=1)
        text = moment.astimezone(zone).isoformat(timespec=random.choice(["milliseconds", "microseconds"]))
        utc = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        rows.append(f'{{"{text}", INT64_C({at_ms}), "{utc}"}},')
    write("times.inc", rows)


zones()
hashes()
decimals()
conversions()
times()
