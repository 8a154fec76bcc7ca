"""What servers say of the backups of shared folders, and what is wrong with that."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from provision.inventory.backups import Backups
from provision.untrusted import line as shown


class Snapshot(NamedTuple):
    """A snapshot of an app's shared folder. `at` is in seconds since 1970; `size` is what was read and `added` what it added to the
    repository, in bytes; None where that is not known.
    """

    at: int
    id: str
    kind: str
    app: str
    size: int | None
    added: int | None


@dataclass(frozen=True, slots=True)
class SharedState:
    """How the backups of a host's shared folders do: when the last one ended and the last good drill did (UTC, empty if never), how long that drill
    took, and how old what it restored was, both in seconds.
    """

    last: str = ""
    drilled: str = ""
    drill_seconds: int | None = None
    data_age: int | None = None

    def line(self) -> str:
        """What there is."""
        drill = f"last drill {self.drilled}" if self.drilled else "no drill yet"
        if self.drill_seconds is not None:
            drill += f" (restored and checked in {self.drill_seconds} s)"
        return f"shared/: last backup {self.last or 'none yet'}, {drill}"


def snapshots(rows: Mapping[str, Mapping[str, str]]) -> list[Snapshot]:
    """All that the repository had when it was last listed, oldest first."""
    lines = base64.b64decode(rows["shared-info"]["said"]).decode().splitlines() if "shared-info" in rows else []
    return [_snapshot(*line.split(" ")) for line in lines]


def state(
    wanted: Backups, apps: Sequence[str], rows: Mapping[str, Mapping[str, str]]
) -> tuple[SharedState, tuple[str, ...]]:
    """How the backups of the shared folders of these apps do, and what is wrong."""
    found = snapshots(rows)
    now = int(rows["shared-info"]["at"])
    newest = {each.app: each.at for each in found}
    words = rows.get("shared-drill", {}).get("said", "").split(" ")
    good = words[0] == "ok" and len(words) == 3
    drilled = int(rows["shared-drill"]["at"]) if good else None
    seconds, oldest = (int(words[1]), int(words[2])) if good else (None, 0)
    one = SharedState(
        last=time(max(newest.values())) if newest else "",
        drilled=time(drilled) if drilled else "",
        drill_seconds=seconds,
        data_age=max(0, drilled - (seconds or 0) - oldest) if drilled and oldest else None,
    )
    first = min((each.at for each in found), default=None)
    wrong = (*_wrong(wanted, apps, rows, newest, now), *_undrilled(wanted, rows, drilled, first, now))
    return one, tuple(f"shared/: {each}" for each in wrong)


def _wrong(
    wanted: Backups, apps: Sequence[str], rows: Mapping[str, Mapping[str, str]], newest: Mapping[str, int], now: int
) -> Iterator[str]:
    made, checked = (rows.get(f"shared-{each}", {}) for each in ("backup", "check"))
    failed = made and made["said"] != "ok"
    if failed:
        yield f"the last backup failed at {time(int(made['at']))}: {shown(made['said'], 300)}"
    missing = [app for app in apps if app not in newest]
    if missing and not failed:
        yield f"there is none yet of {', '.join(missing)}"
    for app in apps:
        age = now - newest.get(app, now)
        if age > wanted.max_age * 3600:
            yield f"the last one of {app} is {age // 3600} hours old, and {wanted.max_age} are allowed"
    if checked and checked["said"] != "ok":
        yield f"the repository cannot be read: {shown(checked['said'], 300)}"
    elif checked and now - int(checked["at"]) > wanted.max_age * 3600:
        yield "nothing has checked the repository since " + time(int(checked["at"]))


def _undrilled(
    wanted: Backups, rows: Mapping[str, Mapping[str, str]], drilled: int | None, first: int | None, now: int
) -> Iterator[str]:
    practised = rows.get("shared-drill", {})
    if practised and drilled is None:
        yield f"the last drill failed at {time(int(practised['at']))}: {shown(practised['said'], 300)}"
    elif drilled is not None and now - drilled > wanted.max_drill_age * 3600:
        yield f"the last drill was {(now - drilled) // 3600} hours ago, and {wanted.max_drill_age} are allowed"
    elif drilled is None and first is not None and now - first > wanted.max_drill_age * 3600:
        yield "nothing has been restored for practice yet: invoke backup.drill"


def _snapshot(at: str, name: str, kind: str, app: str, size: str, added: str) -> Snapshot:
    seconds = int(datetime.fromisoformat(f"{at}+00:00").timestamp())
    sizes = (None if each == "-" else int(each) for each in (size, added))
    return Snapshot(seconds, shown(name, 60), shown(kind, 20), shown(app, 60), *sizes)


def time(seconds: int) -> str:
    """Seconds since 1970 as UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
