"""What servers say of their backups, and what is wrong with that."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provision.engine.resource import record
from provision.inventory.backups import Backups
from provision.release import shared_status
from provision.release.shared_status import SharedState, time
from provision.untrusted import line as shown

KINDS = {"full": "full", "diff": "differential", "incr": "incremental"}
FOREIGN = "earlier PostgreSQL"


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """A backup in the repository, of PostgreSQL or of APP/shared. `at` is its end (UTC), `size` what it restores to and `stored` what it added
    to the repository, in bytes, None if that is not known; `age` in hours.
    """

    host: str
    id: str
    kind: str
    at: str
    age: float
    size: int | None
    stored: int | None
    of: str = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class BackupState:
    """How a host's backups do: when the last one of PostgreSQL ended and the last good drill did (UTC, empty if never), how long that drill took
    and how old the newest of the data was that it restored, both in seconds; how those of shared folders do; and what is wrong. None of
    the two parts is there where the host has no such backups.
    """

    last: str = ""
    drilled: str = ""
    drill_seconds: int | None = None
    data_age: int | None = None
    wrong: tuple[str, ...] = ()
    databases: bool = True
    shared: SharedState | None = None

    def lines(self, host: str) -> tuple[str, ...]:
        """What to know of what is wrong."""
        return tuple(f"{host}: backups: {each}" for each in self.wrong)

    def line(self, host: str) -> str:
        """What there is."""
        drill = f"last drill {self.drilled}" if self.drilled else "no drill yet"
        if self.drill_seconds is not None:
            drill += f" (restored and checked in {self.drill_seconds} s"
            drill += f", the data was {self.data_age} s old)" if self.data_age is not None else ")"
        made = (f"last backup {self.last or 'none yet'}, {drill}",) if self.databases else ()
        return f"{host}: backups: {'; '.join((*made, *((self.shared.line(),) if self.shared else ())))}"


def listed(host: str, lines: Iterable[str]) -> list[BackupInfo]:
    """The backups in an answer to backups_status and shared_status, oldest first."""
    rows = _rows(lines)
    now = int(next(rows[each]["at"] for each in ("info", "shared-info") if each in rows))
    databases = [_backup(host, each, now) for each in _raw(rows)]
    folders = [
        BackupInfo(host, one.id, one.kind, time(one.at), _hours(now - one.at), one.size, one.added, f"{one.app}/shared")
        for one in shared_status.snapshots(rows)
    ]
    return sorted((*databases, *folders), key=lambda each: each.at)


def state(wanted: Backups, lines: Iterable[str], shared: Sequence[str] = ()) -> BackupState:
    """How backups do, in an answer to backups_status and, where the folders of some apps are backed up, shared_status."""
    rows = _rows(lines)
    found = _databases(wanted, rows) if "info" in rows else BackupState(databases=False)
    if not shared:
        return found
    folders, wrong = shared_status.state(wanted, shared, rows)
    return replace(found, shared=folders, wrong=(*found.wrong, *wrong))


def _databases(wanted: Backups, rows: dict[str, Any]) -> BackupState:
    now = int(rows["info"]["at"])
    ends = [int(each["timestamp"]["stop"]) for each in _raw(rows)]
    drill = rows.get("drill", {})
    seconds, newest = _drill(drill.get("said", ""))
    good = seconds is not None
    drilled = int(drill["at"]) if good else None
    # Where nothing was written after the backup, the data is as old as that.
    newest = newest or max(ends, default=0)
    return BackupState(
        last=time(max(ends)) if ends else "",
        drilled=time(drilled) if drilled else "",
        drill_seconds=seconds,
        data_age=max(0, drilled - (seconds or 0) - newest) if drilled and newest else None,
        wrong=tuple(_wrong(wanted, rows, now, ends, drilled)),
    )


def _wrong(wanted: Backups, rows: dict[str, Any], now: int, ends: Sequence[int], drilled: int | None) -> Iterator[str]:
    made, checked, practised = (rows.get(each, {}) for each in ("backup", "check", "drill"))
    if made and made["said"] != "ok":
        yield f"the last one failed at {time(int(made['at']))}: {shown(made['said'], 300)}"
    last = max(ends, default=None)
    if last is None:
        if not made or made["said"] == "ok":
            yield "there is none yet"
    elif now - last > wanted.max_age * 3600:
        yield f"the last one is {(now - last) // 3600} hours old, and {wanted.max_age} are allowed"
    if checked and checked["said"] != "ok":
        yield f"what PostgreSQL writes does not arrive in the repository: {shown(checked['said'], 300)}"
    elif checked and now - int(checked["at"]) > wanted.max_age * 3600:
        yield "nothing has checked the repository since " + time(int(checked["at"]))
    if rows["archiver"]["at"]:
        yield f"PostgreSQL's archive fails since {time(int(rows['archiver']['at']))}, which its log explains"
    if practised and drilled is None:
        yield f"the last drill failed at {time(int(practised['at']))}: {shown(practised['said'], 300)}"
    elif drilled is not None and now - drilled > wanted.max_drill_age * 3600:
        yield f"the last drill was {(now - drilled) // 3600} hours ago, and {wanted.max_drill_age} are allowed"
    elif drilled is None and ends and now - min(ends) > wanted.max_drill_age * 3600:
        yield "nothing has been restored for practice yet: invoke backup.drill"


def _drill(said: str) -> tuple[int | None, int]:
    """How many seconds a good drill took, and of when its newest data was; None if it failed."""
    words = said.split(" ")
    if words[0] != "ok" or len(words) != 3:
        return None, 0
    return int(words[1]), int(words[2])


def _rows(lines: Iterable[str]) -> dict[str, Any]:
    rows = [record(tuple(line.split("\t"))) for line in lines if line.startswith("what=")]
    return {row["what"]: row for row in rows}


def _raw(rows: dict[str, Any]) -> list[Any]:
    text = base64.b64decode(rows["info"]["said"]).decode() if "info" in rows else ""
    stanzas = json.loads(text) if text else []
    return [each for stanza in stanzas for each in stanza["backup"]]


def _backup(host: str, raw: Any, now: int) -> BackupInfo:
    end = int(raw["timestamp"]["stop"])
    size, stored = int(raw["info"]["size"]), int(raw["info"]["repository"]["delta"])
    kind = KINDS.get(str(raw["type"]), shown(str(raw["type"]), 20))
    return BackupInfo(host, shown(str(raw["label"]), 60), kind, time(end), _hours(now - end), size, stored)


def _hours(seconds: int) -> float:
    return round(seconds / 3600, 1)
