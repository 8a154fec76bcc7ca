"""Which release is meant: that of a commit, or one that a server has kept."""

from provision.engine.facts import SYSTEM, Facts
from provision.errors import PlanError
from provision.inventory import App
from provision.release.facts import RELEASES, ServerRelease
from provision.release.settings import was_built_as


def release_id(app: App, facts: Facts, commit: str, upgrades: bool = False) -> str:
    """The release of the wanted commit, with what the app's builds make: the active one, else the newest that the server has, else a new one; if
    it `upgrades`, a new one.

    An id is the UTC time and the commit's first seven digits: 20261121T230500-abc1234.
    """
    wanted = (app.name, commit, app.source.folder)
    kept = [
        one
        for one in facts[RELEASES]
        if (one.app, one.commit, one.folder) == wanted and was_built_as(app, one.settings)
    ]
    if kept and not upgrades:
        return max(kept, key=lambda one: (one.active, one.id)).id
    return f"{facts[SYSTEM].now:%Y%m%dT%H%M%S}-{commit[:7]}"


def release_before(app: str, facts: Facts) -> ServerRelease:
    """The newest good release before the active one. Raises PlanError if there is none."""
    kept = [one for one in facts[RELEASES] if one.app == app]
    active = next((one.id for one in kept if one.active), "")
    good = [one for one in kept if one.state == "good" and one.id < active]
    if not good:
        raise PlanError(f"{app}: there is no good release before {active or 'the first one'} on this server")
    return max(good, key=lambda one: one.id)


def release_named(app: str, facts: Facts, name: str) -> ServerRelease:
    """The release with this id, or the newest of the commit with these seven digits. Raises PlanError if there is none."""
    kept = [one for one in facts[RELEASES] if one.app == app]
    found = [one for one in kept if one.id == name or one.id.endswith(f"-{name}")]
    if not found:
        names = ", ".join(sorted(one.id for one in kept)) or "none"
        raise PlanError(f"{app}: there is no release {name} on this server; there are: {names}")
    return max(found, key=lambda one: one.id)
