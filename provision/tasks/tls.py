"""invoke tls.status, tls.renew: the certificates that servers have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Exit, task

from provision.tasks.options import Command, help_for
from provision.untrusted import visible

if TYPE_CHECKING:
    from invoke import Context

    from provision.inventory import Host
    from provision.release.certificates import CertificateInfo
    from provision.run.ask import HostOutput
    from provision.run.served import Served


@task(help=help_for("host", "app", "json", "inventory"))
def status(context: Context, host: str = "", app: str = "", json: bool = False, inventory: str | None = None) -> None:
    """Each app's certificate: issuer, until when, how it is renewed, and what came of the last renewal."""
    from provision.tasks import asking

    _, answers, rows = _ask(Command("tls.status", host, inventory, json, app))
    if json:
        asking.print_document("tls.status", answers, rows)
        return
    from provision.report import tables

    for row in rows:
        if row.failed:
            tables.warn(f"{row.host}: {row.app}: the last renewal failed: {row.failed}")
    asking.print_table(tables.certificates(rows), answers)


@task(help=help_for("host", "app", "force", "yes", "json", "inventory"))
def renew(
    context: Context,
    host: str = "",
    app: str = "",
    force: bool = False,
    yes: bool = False,
    json: bool = False,
    inventory: str | None = None,
) -> None:
    """Renew the certificates now, let nginx read them, and see from here that it serves them."""
    from provision import roles
    from provision.tasks import asking, changing

    command = Command("tls.renew", host, inventory, json, app)
    _, _, before = _ask(command)
    results = changing.run(command, roles.renewed, force=force, yes=yes, prints=False)
    hosts, answers, after = _ask(command)
    old = {(row.host, row.app): row.serial for row in before}
    failed = {result.host for result in results if result.error}
    served: dict[str, list[Served]] = {}
    for row in (row for row in after if row.host not in failed):
        one = _served(hosts[row.host], row, old.get((row.host, row.app), ""))
        served.setdefault(row.host, []).append(one)
        if not one.wrong and not json:
            print(visible(f"{row.host}: {row.app}: serves the certificate {row.serial}, until {row.until}"))
    if json:
        from provision.report import document

        print(document.document(command.task, results, command.seconds, served))
    wrong = [f"{name}: {one.app}: {line}" for name, each in served.items() for one in each for line in one.wrong]
    if wrong:
        raise Exit(visible("\n".join(wrong)), code=1)
    changing.end(results)
    asking.fail(answers)


def _served(host: Host, row: CertificateInfo, before: str) -> Served:
    """What clients get of an app's certificate, whose serial number was another `before`."""
    from provision.run.served import Served, unserved

    same = (f"certbot renewed nothing: {row.serial} is the certificate of before",)
    wrong = same if row.serial == before else unserved(host, row.app, row.serial)
    return Served(row.app, row.serial, row.until, wrong)


def _ask(command: Command) -> tuple[dict[str, Host], tuple[HostOutput, ...], list[CertificateInfo]]:
    from provision.release import certificates
    from provision.tasks import asking

    hosts: dict[str, Host] = {}

    def call(each: Host) -> str:
        hosts[each.name] = each
        return certificates.call(each)

    asked = asking.ask(command, call)
    answers, rows = asking.read(asked, lambda answer: certificates.infos(hosts[answer.host], answer.lines))
    return hosts, answers, rows
