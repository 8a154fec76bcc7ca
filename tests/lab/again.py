"""What serves when a deploy has failed starts again as it is, whichever test's deploy that was. A campaign looks (PROVISION_REBOOTS)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provision import lab
from provision.errors import InventoryError
from provision.inventory import load
from provision.lab.machine import LabError

REBOOTS = "PROVISION_REBOOTS" in os.environ
SECONDS = 60
BUSY: list[str] = []
"""What would not survive a reboot of a server, such as a load on it."""
COMPARING: list[str] = []
"""What would see a restart on a server, such as a comparison of its files before and after a deploy."""
WAITING: list[tuple[Path, str]] = []
"""The deploys that are looked at when the comparison has been made."""

# Each app that has the traffic of its site, its slot, and what it answers.
ANSWERS = r"""
for current in /run/*/current.sock; do
    if [ ! -L "$current" ]; then continue; fi
    app=${current%/*} app=${app##*/}
    printf '%s %s %s\n' "$app" "$(readlink "$current")" "$(curl -s -m 10 -o /dev/null -w '%{http_code}' --unix-socket "$current" http://localhost/)"
done
"""
KILL = r"""
systemctl daemon-reload
supervisorctl reread >/dev/null 2>&1
for current in /run/*/current.sock; do
    if [ ! -L "$current" ]; then continue; fi
    app=${current%/*} app=${app##*/} slot=$(readlink "$current") slot=${slot%.sock}
    main=$(systemctl show -p MainPID --value "$app@$slot.service")
    if [ "$main" = 0 ]; then main=$(supervisorctl pid "$app-$slot:$app-${slot}_0"); fi
    kill -KILL $(cat "/proc/$main/task/$main/children") "$main"
done
"""


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Within this, no server is rebooted."""
    BUSY.append(what)
    try:
        yield
    finally:
        BUSY.remove(what)


@contextmanager
def comparing(what: str) -> Iterator[None]:
    """Deploys that fail within this are looked at when it is over."""
    COMPARING.append(what)
    try:
        yield
    finally:
        COMPARING.remove(what)
    while WAITING and not COMPARING:
        check(*WAITING.pop())


def check(inventory: Path, name: str) -> None:
    """After a deploy to `name` that failed: what the lab's servers serve starts again after a kill, and after a reboot."""
    if COMPARING:
        WAITING.append((inventory, name))
        return
    try:
        hosts = load(inventory).select(name)
    except InventoryError:
        return
    for host in hosts:
        place, _, number = host.address.rpartition(".")
        server = f"lab{int(number) - 10}" if place == "10.213.0" else ""
        if not server:
            continue
        try:
            before = lab.shell(server, ANSWERS).stdout
        except LabError:
            # A test switched it off.
            continue
        if not before:
            continue
        lab.shell(server, KILL)
        _wait(server, before, "a kill")
        if not BUSY:
            lab.reboot(server)
            _wait(server, before, "a reboot")


def _wait(server: str, before: str, after: str) -> None:
    deadline = time.monotonic() + SECONDS
    while (now := lab.shell(server, ANSWERS).stdout) != before:
        assert time.monotonic() < deadline, f"{server} after {after}: {now!r}, and before it was {before!r}"
        time.sleep(0.5)
