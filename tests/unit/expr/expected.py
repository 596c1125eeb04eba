"""Writes the tables of expected values beside it: python3 expected.py. None of it comes from rfmd."""
import random
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

HERE = Path(__file__).parent
random.seed(20260101)


def orders():
    """int, double, how the int compares: exactly, as fractions."""
    doubles = [0.0, -0.0, 0.5, -0.5, 1.0, 1.5, 2.0**31, 2.0**53, 2.0**53 + 2, -(2.0**53), 2.0**62, 2.0**63, -(2.0**63),
               2.0**63 * (1 - 2.0**-53), 2.0**64, -(2.0**64), 1e300, -1e300, 5e-324, -5e-324, 1e18 + 128]
    integers = {0, 1, -1, 2, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**53 + 3, -(2**53) - 1, -(2**53), 2**62, 2**62 + 1,
                2**63 - 1, 2**63 - 512, 2**63 - 1024, -(2**63), -(2**63) + 1, 10**18 + 127, 10**18 + 128, 10**18 + 129}
    for double in doubles:
        for integer in sorted(integers):
            exact = Fraction(double)
            yield f"{{INT64_C({integer + (integer == -(2**63))}){' - 1' if integer == -(2**63) else ''}, {double.hex()}, {(integer > exact) - (integer < exact)}}},"
    for integer in sorted(integers):
        yield f"{{INT64_C({integer + (integer == -(2**63))}){' - 1' if integer == -(2**63) else ''}, INFINITY, -1}},"


def decimal(number: float) -> str:
    """The digits of Python's repr, as decimals from 1e-4 to below 1e21."""
    text = repr(number)
    if "e" in text and 1e-4 <= abs(number) < 1e21:
        digits, power = text.split("e")
        whole, _, fraction = digits.partition(".")
        return whole + fraction + "0" * (int(power) - len(fraction))
    if "e" in text:
        digits, power = text.split("e")
        return f"{digits.removesuffix('.0')}e{int(power):+03d}"
    return text.removesuffix(".0")


def doubles():
    numbers = [0.0, -0.0, 1.0, -1.0, 0.1, 1e-4, 9.999e-5, 1e-5, 1e-7, 123456.0, 1e6, 1234567.0, 1e20, 999999999999999868928.0, 1e21,
               1e22, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 129.90, 2 / 3, 2**53 + 2.0, 4.35, 0.000123]
    numbers += [random.uniform(-1, 1) * 10.0**random.randint(-30, 30) for _ in range(200)]
    for number in numbers:
        yield f'{{{number.hex()}, "{decimal(number)}"}},'


def parts():
    """Moments in UTC and in Berlin, with all that can be asked of them."""
    berlin = ZoneInfo("Europe/Berlin")
    moments = [datetime(2026, 3, 29, 0, 59, 59, 999000), datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 0, 59, 59),
               datetime(2026, 10, 25, 1), datetime(2024, 2, 29, 23, 30), datetime(2023, 12, 31, 23, 0), datetime(2026, 1, 1),
               datetime(2000, 2, 29, 12), datetime(2096, 2, 29, 1, 2, 3, 4000)]
    moments += [datetime(2000, 1, 1) + timedelta(milliseconds=random.randrange(90 * 365 * 86400000)) for _ in range(60)]
    for moment in moments:
        utc = moment.replace(tzinfo=timezone.utc)
        ms = round((utc - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(milliseconds=1))
        for zone, local in (("UTC", utc), ("Europe/Berlin", utc.astimezone(berlin))):
            day = local.timetuple().tm_yday - 1
            yield (f'{{INT64_C({ms}), "{zone}", {{{local.year}, {local.month - 1}, {day}, {local.day - 1}, {local.day}, '
                   f"{local.isoweekday() % 7}, {local.hour}, {local.minute}, {local.second}, {local.microsecond // 1000}}}}},")


for name, rows in (("orders", orders()), ("doubles", doubles()), ("parts", parts())):
    (HERE / f"{name}.inc").write_text("".join(row + "\n" for row in rows))
