"""invoke releases, status, deploy-key: what the servers have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from provision.tasks.options import Command, help_for

if TYPE_CHECKING:
    from invoke import Context

    from provision.inventory import Host


@task(help=help_for("host", "app", "packages", "json", "inventory"))
def releases(
    context: Context,
    host: str = "",
    app: str = "",
    packages: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """The releases on each host: id, commit, who deployed it and when, and its state."""
    from provision.release import status as query
    from provision.tasks import asking

    call = query.packages_call if packages else query.releases_call
    asked = asking.ask(Command("releases", host, inventory, json, app), call)
    answers, rows = asking.read(asked, lambda answer: query.releases(answer.host, answer.lines))
    if json:
        asking.print_document("releases", answers, rows)
        return
    from provision.report import tables

    if packages:
        tables.packages(rows)
    asking.print_table(tables.releases(rows), answers)


@task(help=help_for("host", "app", "json", "inventory"))
def status(context: Context, host: str = "", app: str = "", json: bool = False, inventory: str | None = None) -> None:
    """Each app on each host: release, since when, slot, health, workers, memory, certificate, security updates."""
    from provision.release import status as query
    from provision.tasks import asking

    asked: dict[str, Host] = {}

    def call(each: Host) -> str:
        asked[each.name] = each
        return query.apps_call(each)

    heard = asking.ask(Command("status", host, inventory, json, app), call)
    answers, rows = asking.read(heard, lambda answer: query.apps(asked[answer.host], answer.lines))
    answers, strangers = asking.read(
        answers, lambda answer: [(answer.host, query.unlisted(asked[answer.host], answer.lines))]
    )
    answers, states = asking.read(
        answers, lambda answer: [(answer.host, one) for one in query.backups(asked[answer.host], answer.lines)]
    )
    answers, databases = asking.read(
        answers, lambda answer: [(answer.host, one) for one in query.databases(asked[answer.host], answer.lines)]
    )
    others = {} if app else dict(strangers)
    mixed = query.mixed(asked.values(), rows)
    waiting = {answer.host: query.waiting(answer.lines) for answer in answers if not answer.error}
    if json:
        asking.print_document("status", answers, rows, others, waiting, dict(states), dict(databases), mixed=mixed)
        return
    from provision.report import tables

    for each in mixed:
        tables.warn(f"{each}: the hosts do not run the same commit: deploy it to all of them again")
    for line in filter(None, (tables.late(row, asked[row.host].tls.issuer) for row in rows)):
        tables.warn(line)
    for line in (line for name, each in waiting.items() for line in each.lines(name)):
        tables.warn(line)
    for line in (line for name, each in databases for line in each.lines(name)):
        tables.warn(line)
    for line in (line for name, each in states for line in each.lines(name)):
        tables.warn(line)
    for row in rows:
        if row.renewal_failed:
            tables.warn(f"{row.host}: {row.app}: the certificate could not be renewed: {row.renewal_failed}")
    for row in rows:
        if row.cache and not row.cache.answers:
            tables.warn(row.cache.line(row.host, row.app))
    caches = [row.cache.line(row.host, row.app) for row in rows if row.cache and row.cache.answers]
    asking.print_table(
        tables.status(rows, mixed), answers, others, [*caches, *(each.line(name) for name, each in states)]
    )


@task(help=help_for("host", "app", "json", "inventory"))
def deploy_key(
    context: Context, host: str = "", app: str = "", json: bool = False, inventory: str | None = None
) -> None:
    """The public half of each host's deploy keys, to add to the repositories; `provision` or `deploy` makes the keys."""
    from provision.release import status as query
    from provision.tasks import asking

    hosts: dict[str, Host] = {}

    def call(each: Host) -> str:
        hosts[each.name] = each
        return query.deploy_keys_call(each)

    asked = asking.ask(Command("deploy-key", host, inventory, json, app), call)
    answers, rows = asking.read(asked, lambda answer: query.deploy_keys(hosts[answer.host], answer.lines))
    if json:
        asking.print_document("deploy-key", answers, rows)
        return
    for row in rows:
        public = row.public or f"none yet: invoke provision --host {row.host}"
        print(f"{row.host}: {row.app}: {row.repository}: {public}")
    if not rows and not any(answer.error for answer in answers):
        print("no app here has deploy_key: generate")
    asking.fail(answers)
