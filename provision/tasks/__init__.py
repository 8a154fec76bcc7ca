"""The Invoke tasks: thin, they parse and call. A project's tasks.py says `from provision.tasks import namespace`."""

from invoke import Collection

from provision.tasks import deploy, lab, verify

namespace = Collection()
for each in (deploy.deploy, deploy.provision, deploy.plan):
    namespace.add_task(each)
namespace.add_task(verify.verify)
namespace.add_collection(Collection.from_module(lab, name="lab"))
