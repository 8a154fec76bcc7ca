"""When a command runs, as cron is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.errors import InventoryError
from provision.inventory import Schedule
from tests import calendars

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.inventory import Host

SAID = [
    ("03:00", "0 3 * * *"),
    ("3:05", "5 3 * * *"),
    ("00:00", "0 0 * * *"),
    ("23:59", "59 23 * * *"),
    ("03:00:00", "0 3 * * *"),
    ("*-*-* 04:30", "30 4 * * *"),
    ("*-*-* 04:30:00", "30 4 * * *"),
    ("Mon 06:30", "30 6 * * 1"),
    ("Sun 06:30", "30 6 * * 7"),
    ("Mon..Fri 06:30", "30 6 * * 1-5"),
    ("Mon,Wed,Fri 06:30", "30 6 * * 1,3,5"),
    ("Mon..Wed,Sat 06:30", "30 6 * * 1-3,6"),
    ("Mon *-*-* 06:30", "30 6 * * 1"),
    ("*-*-01 04:00", "0 4 1 * *"),
    ("*-02-03 04:00", "0 4 3 2 *"),
    ("*:0/15", "*/15 * * * *"),
    ("*:00/15", "*/15 * * * *"),
    ("*:5/20", "5-59/20 * * * *"),
    ("*:*", "* * * * *"),
    ("*:30", "30 * * * *"),
    ("0/2:30", "30 */2 * * *"),
    ("08:09", "9 8 * * *"),
    ("hourly", "0 * * * *"),
    ("daily", "0 0 * * *"),
    ("weekly", "0 0 * * 1"),
    ("monthly", "0 0 1 * *"),
]
# A step that begins later is counted up to the end of its own field.
STEPS = [
    ("1/2:30", "30 1-23/2 * * *"),
    ("*-*-1/2 04:00", "0 4 1-31/2 * *"),
    ("*-1/3-01 00:00", "0 0 1 1-12/3 *"),
]


@pytest.mark.parametrize(("at", "cron"), SAID + STEPS)
def test_a_time_is_said_to_cron(at: str, cron: str) -> None:
    assert Schedule(at=at, run="run").cron == cron


UNSAID = [
    "minutely",
    "yearly",
    "Mon",
    "2026-11-21",
    "2026-11-21 03:00",
    "*-*~01 03:00",
    "03:00:30",
    "*-*-* *:*:0/10",
    "Mon-Fri 06:30",
    "Mon..Fri *-*-01",
    "03:00 UTC",
    "1..5:30",
    "*:0,30",
]
# The first of the month that is a Monday, to systemd; the first of the month and each Monday, to cron.
OTHERWISE = ["Mon *-*-01 04:00", "Mon..Fri *-*-13 04:00"]


@pytest.mark.parametrize("at", UNSAID + OTHERWISE)
def test_what_cron_cannot_be_told_is_an_error(at: str) -> None:
    with pytest.raises(ValueError, match=r'^"') as caught:
        Schedule(at=at, run="run").cron  # noqa: B018
    assert str(caught.value) == (
        f'"{at}" cannot be written for cron, which runs the schedules under Supervisor; write for example 03:00, hourly,'
        ' "Mon..Fri 06:30", "*-*-01 04:00" or "*:0/15"'
    )


def inventory(at: str, manager: str) -> str:
    return (
        "hosts: {web1: 203.0.113.10}\n"
        "apps:\n"
        "  shop:\n"
        "    source: https://git.example.com/shop.git\n"
        "    module: shop.main:app\n"
        "    domains: [shop.example.com]\n"
        f"    process_manager: {manager}\n"
        f'    schedules: {{tidy: {{at: "{at}", run: python -m shop.tidy}}}}\n'
    )


def test_it_is_an_error_of_the_inventory_where_cron_is_asked_at_all(make_host: Callable[..., Host]) -> None:
    assert make_host(inventory("2026-11-21", "systemd")).apps["shop"].schedules["tidy"].calendar == "2026-11-21"
    with pytest.raises(InventoryError) as caught:
        make_host(inventory("2026-11-21", "supervisor"))
    (line,) = caught.value.errors
    assert line.partition("prod.yml:")[2].startswith(
        '8: apps.shop.schedules: tidy: "2026-11-21" cannot be written for cron, '
    )


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
@pytest.mark.parametrize(("at", "why"), calendars.REFUSED.items(), ids=repr)
def test_a_time_that_systemd_would_refuse_is_an_error_of_the_inventory(
    at: str, why: str, manager: str, make_host: Callable[..., Host]
) -> None:
    with pytest.raises(InventoryError) as caught:
        make_host(inventory(at, manager))
    (line,) = caught.value.errors
    said = f'8: apps.shop.schedules.tidy.at: "{at}" is not a time{f" ({why})" if why else ""}; write 03:00 for daily, or a '
    assert line.partition("prod.yml:")[2].startswith(said)


@pytest.mark.parametrize("at", calendars.ACCEPTED)
def test_a_time_that_systemd_takes_is_taken(at: str, make_host: Callable[..., Host]) -> None:
    assert make_host(inventory(at, "systemd")).apps["shop"].schedules["tidy"].at == at


@pytest.mark.parametrize(
    ("at", "calendar"), [("03:00", "*-*-* 03:00:00"), ("3:05", "*-*-* 3:05:00"), ("Mon 06:30", "Mon 06:30")]
)
def test_systemd_is_told_what_is_written(at: str, calendar: str) -> None:
    assert Schedule(at=at, run="run").calendar == calendar
