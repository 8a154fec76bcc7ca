"""invoke releases, status, deploy-key: what the servers have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context

    from provision.inventory import Host


@task(help=help_for("host", "json", "inventory"))
def releases(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """The releases on each host: id, commit, who deployed it and when, and its state."""
    from provision.run import ask as query
    from provision.tasks import asking

    answers = asking.ask(Command("releases", host, inventory), lambda each: f"releases {query.apps(each)}")
    rows = [row for answer in answers for row in query.releases(answer)]
    if json:
        asking.print_document("releases", answers, rows)
        return
    from provision.report import tables

    asking.print_table(tables.releases(rows), answers)


@task(help=help_for("host", "json", "inventory"))
def status(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """Each app on each host: release, since when, slot, health, workers, memory, certificate, security updates."""
    from provision.engine.shell import words
    from provision.run import ask as query
    from provision.tasks import asking

    def call(each: Host) -> str:
        return words(
            "status", *(word for app in each.apps.values() for word in (app.name, app.domains[0], app.health.path))
        )

    answers = asking.ask(Command("status", host, inventory), call)
    rows = [row for answer in answers for row in query.standings(answer)]
    if json:
        asking.print_document("status", answers, rows)
        return
    from provision.report import tables

    asking.print_table(tables.status(rows), answers)


@task(help=help_for("host", "json", "inventory"))
def deploy_key(context: Context, host: str, json: bool = False, inventory: str | None = None) -> None:
    """The public half of each host's deploy keys, to add to the repositories; `provision` or `deploy` makes the keys."""
    from provision.engine.shell import words
    from provision.inventory import GENERATE
    from provision.run import ask as query
    from provision.tasks import asking

    hosts: dict[str, Host] = {}

    def call(each: Host) -> str:
        hosts[each.name] = each
        return words("deploy_keys", *(app.name for app in each.apps.values() if app.source.deploy_key == GENERATE))

    answers = asking.ask(Command("deploy-key", host, inventory), call)
    rows = [row for answer in answers for row in query.deploy_keys(answer, hosts[answer.host])]
    if json:
        asking.print_document("deploy-key", answers, rows)
        return
    for row in rows:
        public = row.public or f"none yet: invoke provision --host {row.host}"
        print(f"{row.host}: {row.app}: {row.repository}: {public}")
    if not rows and not any(answer.error for answer in answers):
        print("no app here has deploy_key: generate")
    asking.fail(answers)
