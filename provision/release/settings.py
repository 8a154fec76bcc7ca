"""What a release keeps of the inventory, so that a rollback runs it as it ran.

The rest is the inventory's of today: the environment (a password that has changed has changed for old releases, too),
workers, limits, domains.
"""

import json

from pydantic import TypeAdapter, ValidationError

from provision.errors import PlanError
from provision.inventory import App

KEPT = (
    "module",
    "health",
    "processes",
    "schedules",
    "hooks",
    "static",
    "requirements",
    "python",
    "build",
    "build_on",
    "node",
    "shared",
)
# What a release had before there was a key for it.
BEFORE: dict[str, object] = {"build": [], "build_on": "server", "node": None, "shared": []}
CHECKED = ("module", "requirements", "python")


def settings(app: App) -> str:
    """What the app's release keeps, as one line of JSON."""
    kept = app.model_dump(mode="json", include=set(KEPT))
    if not (app.requirements.extras or app.requirements.groups):
        # As releases kept it when there was nothing but a file.
        kept["requirements"] = app.requirements.file
    if app.cache.engine:
        kept["cache"] = app.cache.engine
    return json.dumps(kept, sort_keys=True)


def had_cache(kept: str) -> bool:
    """Whether a release ran with a Redis; false if that is not known."""
    try:
        then = json.loads(kept)
    except ValueError:
        return False
    return isinstance(then, dict) and bool(then.get("cache"))


def were_checked(app: App, kept: str) -> bool:
    """Whether a release has kept the same module, requirements and Python as the app has now; false if that cannot be read."""
    try:
        then = json.loads(kept)
    except ValueError:
        return False
    now = json.loads(settings(app))
    return isinstance(then, dict) and all(name in then and then[name] == now[name] for name in CHECKED)


def was_built_as(app: App, kept: str) -> bool:
    """Whether a release has kept the same builds, and folders in shared/, as the app has now; true where nothing is kept yet."""
    if not kept:
        return True
    try:
        then = json.loads(kept)
    except ValueError:
        return False
    now = json.loads(settings(app))
    names = ("shared", "build", "build_on", "node") if app.build else ("shared", "build")
    return isinstance(then, dict) and all((BEFORE | then)[name] == now[name] for name in names)


def with_settings(app: App, kept: str) -> App:
    """The app with what a release has kept. Raises PlanError if that cannot be read."""
    if not kept:
        return app
    try:
        values = BEFORE | TypeAdapter(dict[str, object]).validate_json(kept)
        fields = {name: type(app).model_fields[name].annotation for name in KEPT if name in values}
        update = {
            name: TypeAdapter[object](kind or object).validate_python(values[name]) for name, kind in fields.items()
        }
    except ValidationError:
        raise PlanError(
            f"{app.name}: what a release on the server ran with cannot be read; deploy its commit instead"
        ) from None
    return app.model_copy(update=update)
