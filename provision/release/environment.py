"""What an app's release reads when it starts: its environment, and Gunicorn's configuration."""

from provision.errors import PlanError
from provision.inventory import App
from provision.release.layout import Layout, file
from provision.release.template import render
from provision.resources.file import File


def environment(app: App, commit: str, release: str) -> File:
    """The inventory's variables, and which commit and release it is. Raises PlanError if the app cannot log in to its database yet."""
    if app.remote_database and not app.remote_database.access:
        server = app.remote_database.host
        raise PlanError(
            f"{app.name}: its database is on {server}, which has no login for this host yet",
            f"deploy {server} together with it",
        )
    values = {**app.env, "PROVISION_COMMIT": commit, "PROVISION_RELEASE": release}
    lines = [f"{key}={quoted(value)}" for key, value in sorted(values.items())]
    content = "# Written by provision.\n" + "\n".join(lines) + "\n"
    return file(Layout(app.name), Layout.env, content, secret=True)


def quoted(value: str) -> str:
    """A value as systemd's EnvironmentFile reads it (systemd.exec(5))."""
    for character in '\\"$`':
        value = value.replace(character, f"\\{character}")
    return f'"{value}"'


def workers_of(app: App, cpus: int) -> int:
    """How many workers an app has on a server with so many processors."""
    return min(2 * cpus + 1, 8) if app.workers == "auto" else app.workers


def gunicorn(app: App, cpus: int) -> File:
    """Gunicorn's configuration. By default 2 x CPUs + 1 workers, at most 8."""
    layout, workers = Layout(app.name), workers_of(app, cpus)
    content = render("gunicorn.conf.py.j2", app=app, layout=layout, workers=workers)
    return file(layout, Layout.gunicorn, content)
