"""The Invoke tasks: thin, they parse and call. A project's tasks.py says `from provision.tasks import namespace`."""

from typing import Any

from invoke import Collection

from provision.report import pipe
from provision.tasks import demo, deploy, lab, releases, verify

pipe.outlive_readers()
namespace = Collection()
TASKS: tuple[Any, ...] = (
    deploy.deploy,
    deploy.provision,
    deploy.plan,
    releases.promote,
    releases.rollback,
    releases.restart,
    releases.releases,
    releases.status,
    releases.logs,
    releases.deploy_key,
    releases.run,
    verify.verify,
    demo.demo,
)
for each in TASKS:
    namespace.add_task(each)
namespace.add_collection(Collection("maintenance", releases.maintenance_on, releases.maintenance_off))
namespace.add_collection(Collection.from_module(lab, name="lab"))
