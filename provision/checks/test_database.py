"""The apps' databases, as their users reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.shell import quote
from provision.inventory.remote import login
from provision.release.layout import LoginLayout

if TYPE_CHECKING:
    from provision import inventory


@pytest.mark.role("app")
@pytest.mark.declares("own_database")
def test_the_app_reaches_its_database(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    said = host.run(
        f"cd /; runuser -u {app.name} -- psql -XAt -h /run/postgresql -d {app.name} -c 'select current_user'"
    )
    assert said.stdout.strip() == app.name, f"PostgreSQL does not let {app.name} in: {said.stderr.strip()[-300:]}"


@pytest.mark.role("app")
@pytest.mark.declares("own_database")
def test_nobody_else_reaches_its_database(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    said = host.run(
        f"cd /; runuser -u nobody -- psql -XAt -h /run/postgresql -U {app.name} -d {app.name} -c 'select 1'"
    )
    assert said.rc != 0, f"nobody may log in to PostgreSQL as {app.name}"


@pytest.mark.role("app")
@pytest.mark.declares("remote_database")
def test_the_app_reaches_its_database_on_another_host(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    said = _asked(host, declared, app, "verify-full", "select current_user")
    assert said.stdout.strip() == app.name, f"PostgreSQL does not let {app.name} in: {said.stderr.strip()[-300:]}"


@pytest.mark.role("app")
@pytest.mark.declares("remote_database")
def test_its_database_on_another_host_is_reached_over_tls_only(
    host: Any, declared: inventory.Host, app: inventory.App
) -> None:
    said = _asked(host, declared, app, "disable", "select 1")
    assert said.rc != 0, f"PostgreSQL lets {app.name} in without TLS"


@pytest.mark.host("serves")
def test_apps_on_other_hosts_are_let_in_by_one_line_each(host: Any, declared: inventory.Host) -> None:
    asked = (
        "select coalesce(string_agg(type || ' ' || array_to_string(database, ',') || ' ' || auth_method, ';'), '') from pg_hba_file_rules"
        " where type <> 'local' and not (address in ('127.0.0.1', '::1') or address is null)"
    )
    said = host.run(f"cd /; runuser -u postgres -- psql -XAtc {quote(asked)}")
    assert said.rc == 0, f"PostgreSQL does not answer: {said.stderr.strip()[-300:]}"
    lines = set(said.stdout.strip().split(";"))
    wanted = {f"hostssl {name} scram-sha-256" for name in declared.serves}
    assert lines == wanted, f"pg_hba.conf lets in others, too: {'; '.join(sorted(lines - wanted))}"


def _asked(host: Any, declared: inventory.Host, app: inventory.App, mode: str, sql: str) -> Any:
    """What the app's database answers the app, with the password and the certificate that its server has."""
    assert app.remote_database
    places = LoginLayout(app.name)
    known = {
        "PGHOST": app.remote_database.address,
        "PGUSER": login(app.name, declared.name),
        "PGDATABASE": app.name,
        "PGSSLMODE": mode,
        "PGSSLROOTCERT": places.root,
        "PGCONNECT_TIMEOUT": "10",
    }
    words = " ".join(f"{name}={quote(value)}" for name, value in known.items())
    password = f'PGPASSWORD="$(cat {places.password})"'
    return host.run(f"cd /; {password} {words} runuser -u {app.name} -- psql -XAtc {quote(sql)}")
