"""What programs read: one JSON document a task. All documents are built here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision.release.backup_status import BackupInfo, BackupState
    from provision.release.certificates import CertificateInfo
    from provision.release.database_status import DatabaseState
    from provision.release.present import PresentApp
    from provision.release.status import AppStatus, DeployKey, ReleaseInfo, Waiting
    from provision.run.ask import HostOutput
    from provision.run.audit import Audit
    from provision.run.check import Checked
    from provision.run.doctor import Diagnosis
    from provision.run.result import Result
    from provision.run.served import Served
    from provision.run.verification import Outcome

    Others = Mapping[str, Sequence[PresentApp]]
    Row = ReleaseInfo | AppStatus | DeployKey | CertificateInfo | BackupInfo


def document(
    task: str, results: Sequence[Result], seconds: float, served: Mapping[str, Sequence[Served]] | None = None
) -> str:
    """The document of a task that changes hosts. A host's `release` is null unless it has exactly one app to release.

    What is `served` after a renewal stands under `certificates`; where that is wrong, the task has failed.
    """
    hosts = {result.host: _host(result) for result in results}
    for host, each in (served or {}).items():
        hosts[host]["certificates"] = [asdict(one) for one in each]
    wrong = any(one.wrong for each in (served or {}).values() for one in each)
    found = {
        "task": task,
        "ok": not wrong and all(result.error is None for result in results),
        "seconds": round(seconds, 3),
        "hosts": hosts,
    }
    return json.dumps(found, indent=2)


def failure(task: str, errors: Sequence[str], seconds: float) -> str:
    """The document of a task that reached no host."""
    found = {"task": task, "ok": False, "seconds": round(seconds, 3), "hosts": {}, "errors": list(errors)}
    return json.dumps(found, indent=2)


def listing(
    task: str,
    answers: Sequence[HostOutput],
    rows: Sequence[Row],
    others: Others | None = None,
    waiting: Mapping[str, Waiting] | None = None,
    backups: Mapping[str, BackupState] | None = None,
    databases: Mapping[str, DatabaseState] | None = None,
    **more: object,
) -> str:
    """The document of a task that lists something: each host's error, and its rows under the task's name; and `more`.

    `others`, if there are any, stand under `unlisted`, what is `waiting` for a restart under that, and likewise `backups` and `databases` (as "postgresql").
    """
    listed: dict[str, list[dict[str, object]]] = {answer.host: [] for answer in answers}
    for row in rows:
        fields = asdict(row)
        listed[fields.pop("host")].append(fields)
    hosts = {
        answer.host: {"error": answer.error, task: listed[answer.host]}
        | ({} if others is None else {"unlisted": [asdict(app) for app in others.get(answer.host, ())]})
        | ({"waiting": asdict(waiting[answer.host])} if waiting and answer.host in waiting else {})
        | ({"postgresql": asdict(databases[answer.host])} if databases and answer.host in databases else {})
        | ({"backups": asdict(backups[answer.host])} if backups and answer.host in backups else {})
        for answer in answers
    }
    found = {"task": task, "ok": not any(answer.error for answer in answers), "hosts": hosts, **more}
    return json.dumps(found, indent=2)


def checks(outcome: Outcome, seconds: float) -> str:
    """The document of `verify`. `errors` is there only where the checks ended early."""
    hosts: dict[str, object] = {
        name: {"status": "unreachable", "checks": [], "error": reason} for name, reason in outcome.unreachable.items()
    }
    hosts |= {name: _checked(outcome, name) for name in dict.fromkeys(check.host for check in outcome.checks)}
    found = {"task": "verify", "ok": outcome.ok, "seconds": round(seconds, 3), "hosts": hosts}
    return json.dumps({**found, "errors": [outcome.broken_off]} if outcome.broken_off else found, indent=2)


def diagnoses(found: Sequence[Diagnosis], seconds: float) -> str:
    """The document of `doctor`."""
    hosts = {
        one.host: {"error": one.error, "execs": one.execs, "checks": [asdict(each) for each in one.findings]}
        for one in found
    }
    whole = {"task": "doctor", "ok": all(one.ok for one in found), "seconds": round(seconds, 3), "hosts": hosts}
    return json.dumps(whole, indent=2)


def audits(found: Sequence[Audit], seconds: float) -> str:
    """The document of `audit`."""
    hosts = {
        one.host: {
            "error": one.error,
            "unexplained": [{"check": each.check, "what": each.what, "fix": each.fix} for each in one.unexplained],
        }
        for one in found
    }
    whole = {"task": "audit", "ok": all(one.ok for one in found), "seconds": round(seconds, 3), "hosts": hosts}
    return json.dumps(whole, indent=2)


def checked(found: Sequence[Checked], errors: Sequence[str], seconds: float) -> str:
    """The document of `check`."""
    inventories = {
        one.path: {
            "errors": list(one.errors),
            "hosts": {
                host.name: {
                    "address": host.address,
                    "roles": list(host.roles),
                    "resources": one.resources.get(host.name),
                    "apps": {
                        app.name: {"domains": list(app.domains), "source": app.source.location}
                        for app in host.apps.values()
                    },
                }
                for host in one.hosts
            },
        }
        for one in found
    }
    whole = {
        "task": "check",
        "ok": not errors,
        "seconds": round(seconds, 3),
        "errors": list(errors),
        "inventories": inventories,
    }
    return json.dumps(whole, indent=2)


def _checked(outcome: Outcome, host: str) -> dict[str, object]:
    checks = [check for check in outcome.checks if check.host == host]
    failed = sum(check.outcome == "failed" for check in checks)
    return {
        "status": "failed" if failed else "ok",
        "checks": [
            {"id": check.id, "outcome": check.outcome, "seconds": check.seconds, "reason": check.reason}
            for check in checks
        ],
        "error": f"{failed} of {len(checks)} checks failed" if failed else None,
    }


def _host(result: Result) -> dict[str, object]:
    return {
        "status": result.status,
        "ok": result.ok,
        "changed": result.changed,
        "failed": result.failed,
        "skipped": result.skipped,
        "execs": result.execs,
        "seconds": result.seconds,
        "release": next(iter(result.releases.values())) if len(result.releases) == 1 else None,
        "releases": dict(result.releases),
        "previews": dict(result.previews),
        "changes": [
            {
                "id": change.id,
                "summary": change.summary,
                "diff": change.diff,
                "seconds": result.took.get(change.ref),
            }
            for change in result.changes
        ],
        "notes": list(result.notices),
        "warnings": list(result.warnings),
        "error": result.error,
        "output": list(result.output),
    }
