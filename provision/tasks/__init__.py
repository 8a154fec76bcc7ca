"""The Invoke tasks: each parses its options, calls, prints, and sets the exit status.

A project's tasks.py says `from provision.tasks import namespace`. Modules here import only what declares a task; what a
task runs is imported when it runs, so that `invoke --list` answers at once.
"""

import sys
from typing import Any

from invoke import Collection

# Invoke turns off the writing of .pyc files, and without them each task would compile the toolkit again. What Python was told stays.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)


def collection() -> Collection:
    """All tasks, as Invoke wants them."""
    from provision.tasks import (
        audit,
        backups,
        bootstrap,
        demo,
        deploy,
        doctor,
        lab,
        logs,
        release,
        remove,
        status,
        verify,
    )

    found = Collection()
    tasks: tuple[Any, ...] = (
        bootstrap.bootstrap,
        deploy.deploy,
        deploy.provision,
        deploy.plan,
        doctor.doctor,
        doctor.check,
        audit.audit,
        backups.backups,
        backups.restore,
        release.promote,
        release.rollback,
        release.restart,
        status.releases,
        status.status,
        status.deploy_key,
        logs.logs,
        logs.run,
        verify.verify,
        remove.remove,
        demo.demo,
    )
    for each in tasks:
        found.add_task(each)
    for name, group in _groups().items():
        found.add_collection(Collection(name, **group))
    found.add_collection(Collection.from_module(lab, name="lab"))
    return found


def _groups() -> dict[str, dict[str, Any]]:
    """The tasks of which the names have two parts, by the first and the second."""
    from provision.tasks import backups, maintenance, secrets, tls

    return {
        "maintenance": {"on": maintenance.on, "off": maintenance.off},
        "secrets": {"edit": secrets.edit, "show": secrets.show, "set": secrets.set_, "rekey": secrets.rekey},
        "backup": {"now": backups.backup, "drill": backups.drill},
        "tls": {"status": tls.status, "renew": tls.renew},
    }


def __getattr__(name: str) -> Collection:
    """`namespace`, for the entry: all tasks, in a process whose output may lose its reader at any time."""
    if name != "namespace":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from provision.report import pipe

    pipe.outlive_readers()
    return collection()
