"""Calendar expressions as systemd.time(7) reads them, checked without systemd."""

from __future__ import annotations

import re
import zoneinfo
from decimal import Decimal

from provision.inventory.wording import display

WORDS = re.compile("minutely|hourly|daily|weekly|monthly|quarterly|yearly|ann?ually|(semi|bi)-?annually", re.IGNORECASE)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBER, _SECONDS = r"\d{1,9}", r"\d{1,9}(?:\.\d{1,9})?"


def _chain(number: str) -> str:
    component = rf"{number}(?:\.\.{number})?(?:/{number})?"
    return rf"(?:\*|{component}(?:,{component})*)"


_PART = _chain(_NUMBER)
MOMENT = re.compile(
    rf"(?:(?:(?P<year>{_PART})-)?(?P<month>{_PART})(?P<end>[-~])(?P<day>{_PART})(?: +|$))?"
    rf"(?:(?P<hour>{_PART}):(?P<minute>{_PART})(?::(?P<second>{_chain(_SECONDS)}))?)?"
)
LIMITS = {"year": (1970, 2199), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}
MICROSECONDS = 1_000_000


def calendar_event(text: str) -> str:
    """A calendar expression. Raises ValueError for anything else, with the part that is wrong, where there is one."""
    try:
        _check(text)
    except ValueError as error:
        why = f" ({error})" if str(error) else ""
        raise ValueError(
            f'"{text}" is not a time{why}; write 03:00 for daily, or a calendar expression such as "Mon *-*-* 06:30"'
        ) from None
    return text


def _check(text: str) -> None:
    expression = _without_zone(text)
    if WORDS.fullmatch(expression) or re.fullmatch(r"@\d{1,18}", expression):
        return
    days, _, rest = expression.partition(" ")
    if days[:1].isalpha():
        _check_days(days)
        rest = rest.lstrip(" ")
        if not rest:
            return
    else:
        rest = expression
    found = MOMENT.fullmatch(rest)
    if "*/" in rest:
        raise ValueError("write 0/5 in place of */5")
    if not rest or not found:
        raise ValueError
    for unit, (least, most) in LIMITS.items():
        last = unit == "day" and found["end"] == "~"
        _check_part(unit, found[unit] or "*", least, most - 3 * last, 1, last)
    _check_part("second", found["second"] or "0", 0, 60 * MICROSECONDS - 1, MICROSECONDS)


def _without_zone(text: str) -> str:
    """The expression without the time zone at its end."""
    before, space, zone = text.rpartition(" ")
    if not space or not re.fullmatch(r"[A-Za-z][\w+-]*(/[\w+-]+)*", zone):
        return text
    if zone.upper() == "UTC":
        return before
    known = zoneinfo.available_timezones()
    if known and zone not in known:
        raise ValueError(f"{zone} is no time zone")
    return before


def _check_days(days: str) -> None:
    """Days of the week: Mon,Wed..Fri; a range may also be written Mon-Fri, and a comma may come last."""
    for part in days.removesuffix(",").split(","):
        ends = re.split(r"\.\.|-", part)
        numbers = [next((n for n, name in enumerate(DAYS) if end.lower() in (name, name[:3])), -1) for end in ends]
        if min(numbers) < 0 or len(numbers) > 2:
            raise ValueError(f"{display(part)} is no day of the week")
        if numbers != sorted(numbers):
            raise ValueError(f"{part} ends before it begins")


def _check_part(unit: str, part: str, least: int, most: int, scale: int, backwards: bool = False) -> None:
    """One part of a date or time; `scale` is how many of its smallest steps make one."""
    for component in part.split(",") if part != "*" else ():
        span, slash, step_text = component.partition("/")
        first, _, last = span.partition("..")
        start, stop = _value(unit, first, scale), _value(unit, last, scale) if last else None
        step = int(Decimal(step_text) * scale) if slash else scale if last else 0
        if slash and not step:
            raise ValueError(f"a step of {step_text}")
        if stop is not None and stop < start:
            raise ValueError(f"{component} ends before it begins")
        if stop is not None and step:
            stop -= (stop - start) % step
        for number, written in ((start, first), (stop, last)):
            if number is not None and not least <= number <= most:
                raise ValueError(f"{unit} {written} is not within {least} to {most // scale}")
        if stop is not None and start + step > stop:
            if scale > 1 and not slash:
                raise ValueError(f"{component} is shorter than a second")
            step = 0
        room = start - least if backwards and stop is None else most - start
        if step > min(room, most - least):
            raise ValueError(f"a step of {step_text} leads out of {least} to {most // scale}")


def _value(unit: str, text: str, scale: int) -> int:
    """A number; a year of two digits is one from 1970 on."""
    number = int(Decimal(text) * scale)
    return number + (2000 if number < 70 else 1900) if unit == "year" and number < 100 else number
