"""Calendar expressions of systemd.time(7) as crontab(5) writes them, as far as it can."""

from __future__ import annotations

import re

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = f"(?:{'|'.join(DAYS)})"
FIELD = r"\*|\d{1,2}|(?:\*|\d{1,2})/\d{1,2}"
WEEK = rf"{DAY}(?:\.\.{DAY})?"
CALENDAR = rf"(?:({WEEK}(?:,{WEEK})*) )?(?:\*-({FIELD})-({FIELD}) )?({FIELD}):({FIELD})(?::00)?"
WORDS = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1", "monthly": "0 0 1 * *"}


def five_fields(calendar: str) -> str:
    """The fields of a crontab: minute, hour, day, month and day of the week. Raises ValueError for what cron cannot do."""
    if calendar in WORDS:
        return WORDS[calendar]
    found = re.fullmatch(CALENDAR, calendar)
    try:
        if not found:
            raise ValueError(calendar)
        days, month, day, hour, minute = found.groups()
        date = (_field(day, 1, 31), _field(month, 1, 12))
        # cron takes a day of the week and one of the month for "either", a calendar expression for "both".
        if days and date != ("*", "*"):
            raise ValueError(calendar)
        return " ".join((_field(minute, 0, 59), _field(hour, 0, 23), *date, _week(days)))
    except ValueError:
        raise ValueError(
            f'"{calendar}" cannot be written for cron, which runs the schedules under Supervisor; write for example 03:00, hourly,'
            ' "Mon..Fri 06:30", "*-*-01 04:00" or "*:0/15"'
        ) from None


def _field(field: str | None, least: int, most: int) -> str:
    """A field of a calendar expression: 0/15 is */15. Raises ValueError if it is out of range."""
    start, slash, step = (field or "*").partition("/")
    first = least if start == "*" else int(start)
    if not least <= first <= most or (slash and not 1 <= int(step) <= most):
        raise ValueError(field)
    if slash:
        return f"*/{int(step)}" if start == "*" or first == 0 else f"{first}-{most}/{int(step)}"
    return start if start == "*" else str(first)


def _week(days: str | None) -> str:
    """Days of the week: Mon..Fri is 1-5. Raises ValueError for a range that ends before it begins."""
    found = []
    for part in days.split(",") if days else ():
        numbers = [DAYS.index(day) + 1 for day in part.split("..")]
        if numbers != sorted(set(numbers)):
            raise ValueError(days)
        found.append("-".join(map(str, numbers)))
    return ",".join(found) or "*"
