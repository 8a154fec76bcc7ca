"""The apps' databases, as their users reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from provision import inventory


@pytest.mark.role("app")
@pytest.mark.declares("database")
def test_the_app_reaches_its_database(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    said = host.run(
        f"cd /; runuser -u {app.name} -- psql -XAt -h /run/postgresql -d {app.name} -c 'select current_user'"
    )
    assert said.stdout.strip() == app.name, f"PostgreSQL does not let {app.name} in: {said.stderr.strip()[-300:]}"


@pytest.mark.role("app")
@pytest.mark.declares("database")
def test_nobody_else_reaches_its_database(host: Any, declared: inventory.Host, app: inventory.App) -> None:
    said = host.run(
        f"cd /; runuser -u nobody -- psql -XAt -h /run/postgresql -U {app.name} -d {app.name} -c 'select 1'"
    )
    assert said.rc != 0, f"nobody may log in to PostgreSQL as {app.name}"
