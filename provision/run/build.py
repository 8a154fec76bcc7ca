"""What this machine builds for releases, right before it is sent."""

from pathlib import Path

from provision.controller.builds import Commands, build
from provision.engine.plan import Plan
from provision.inventory import Host, Inventory
from provision.release.artifacts import Artifacts, steps
from provision.roles.wanted import Wanted


def location(folder: Path, app: str) -> Path:
    """Where what is built for an app waits to be sent."""
    return folder / f"{app}.built.tar"


def build_here(inventory: Inventory, host: Host, wanted: Wanted, plan: Plan) -> None:
    """Build what the plan's changes send and is not built yet. Raises PlanError and RunError."""
    for name, path in wanted.built.items():
        planned = any(change.ref == Artifacts.ref_to(name) and change.upload for change in plan.changes)
        if planned and not path.exists():
            app = host.apps[name]
            commands = [Commands(one.says, one.program, one.inputs, one.outputs) for one in steps(app)]
            build(name, app.source, wanted.commits[name], commands, inventory, path)
