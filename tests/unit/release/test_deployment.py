"""A release and all that it runs with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.facts import SYSTEM
from provision.engine.resource import State
from provision.release.facts import ServerRelease
from provision.release.migration import Migration
from tests.unit.tables import (
    COMMIT,
    HOST,
    PRIVATE,
    SHOP,
    activation,
    file,
    ids,
)

if TYPE_CHECKING:
    from tests.unit.tables import MakeFacts, MakeHost


def test_the_environment_is_secret_and_quoted_for_systemd(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f'{HOST}apps:\n{SHOP[:-2]}, environment: {{ODD: "a \\"b\\" $c `d` \\\\e"}}}}\n'
    environment = file(roles.everything(make_host(text), *make_known()), "/etc/shop/env")
    assert 'ODD="a \\"b\\" \\$c \\`d\\` \\\\e"\n' in environment.content
    assert (environment.secret, environment.mode, environment.group) == (True, 0o640, "shop")


def test_no_plan_shows_a_variables_value(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}{PRIVATE}tls: {{check_dns: false}}\napps:\n{SHOP[:-2]}, secrets: [KEY]}}\n"
    resources = roles.everything(make_host(text, {"KEY": "a-secret-value"}), *make_known())
    for resource in resources:
        if change := resource.plan(State(), {}):
            assert "a-secret-value" not in change.summary + change.diff + repr(change)


def test_no_resources_repr_has_a_variables_value(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, secrets: [KEY]}}\n"
    resources = roles.everything(make_host(text, {"KEY": "a-secret-value"}), *make_known())
    assert "a-secret-value" not in repr(resources)


@pytest.mark.parametrize(
    "more",
    [
        "environment: {GREETING: bye}",
        "workers: 7",
        "timeout: 61",
        "drain: 61",
        "process_manager: supervisor",
        "processes: {worker: python -m shop.worker}",
        "memory_max: 512M",
        "module: shop.other:app",
        "requirements: requirements-prod.txt",
        "python: '3.12.1'",
        "python: system",
        "source: {repository: https://git.example.com/shop.git, folder: app}",
    ],
)
def test_what_a_release_runs_with_is_in_its_fingerprint(more: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    key = more.partition(":")[0]
    kept = [part for part in SHOP.strip().removesuffix("}").partition("{")[2].split(", ") if not part.startswith(key)]
    changed = f"{HOST}apps:\n  shop: {{{', '.join([*kept, more])}}}\n"
    plain, other = (roles.everything(make_host(text), *make_known()) for text in (f"{HOST}apps:\n{SHOP}", changed))
    assert activation(plain).fingerprint != activation(other).fingerprint


def test_what_only_nginx_reads_activates_nothing(make_host: MakeHost, make_known: MakeFacts) -> None:
    plain, other = (
        roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}, max_body: {size}}}\n"), *make_known())
        for size in ("10m", "20m")
    )
    assert activation(plain).fingerprint == activation(other).fingerprint


def test_how_it_is_checked_activates_nothing_and_is_how_it_is_checked_next_time(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, keep_releases: 9, health: {{path: /up, passes: 7, watch: 9}}}}\n"
    plain, other = (
        activation(roles.everything(make_host(each), *make_known())) for each in (f"{HOST}apps:\n{SHOP}", text)
    )
    assert plain.fingerprint == other.fingerprint
    assert (plain.slot.health.path, plain.slot.health.passes, plain.slot.health.watch, plain.slot.keep) == (
        "/health",
        3,
        2,
        5,
    )
    assert (other.slot.health.path, other.slot.health.passes, other.slot.health.watch, other.slot.keep) == (
        "/up",
        7,
        9,
        9,
    )


def test_an_old_release_drains_for_as_long_as_a_request_may_take_unless_it_is_said_otherwise(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    for more, drain in (("", 60), (", timeout: 90", 90), (", timeout: 90, drain: 600", 600), (", drain: 0", 0)):
        found = roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}{more}}}\n"), *make_known())
        assert activation(found).slot.drain == drain
        assert f"\ngraceful_timeout = {drain}\n" in file(found, "/etc/shop/gunicorn.conf.py").content
        assert f"\nTimeoutStopSec={drain + 5}\n" in file(found, "/etc/shop/units/shop@.service").content


def test_the_slots_copies_are_the_files_as_they_are_written(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(), *make_known())
    assert activation(found).slot.copies == tuple(
        (name, file(found, f"/etc/shop/{name}").sha256)
        for name in ("env", "gunicorn.conf.py", "sandbox", "units/shop@.service", "units/shop@.socket")
    )


def test_the_same_wishes_have_the_same_fingerprint_later(make_host: MakeHost, make_known: MakeFacts) -> None:
    first = make_known()
    kept = (ServerRelease("shop", first.wanted.releases["shop"], COMMIT, ".", "active"),)
    later = make_known(now=first.facts[SYSTEM].now + timedelta(days=1), releases=kept)
    plain, again = (activation(roles.everything(make_host(), *facts)) for facts in (first, later))
    assert plain == again


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((), "20261121T230500-0123456"),
        ((ServerRelease("shop", "20260101T000000-0123456", COMMIT, ".", "good"),), "20260101T000000-0123456"),
        (
            (
                ServerRelease("shop", "20260101T000000-0123456", COMMIT, ".", "active"),
                ServerRelease("shop", "20260202T000000-0123456", COMMIT, ".", "good"),
            ),
            "20260101T000000-0123456",
        ),
        (
            (
                ServerRelease("shop", "20260101T000000-0123456", COMMIT, ".", "good"),
                ServerRelease("shop", "20260202T000000-0123456", COMMIT, ".", "good"),
            ),
            "20260202T000000-0123456",
        ),
        (
            (
                ServerRelease("shop", "20260101T000000-fedcba9", "f" * 40, ".", "active"),
                ServerRelease("blog", "20260101T000000-0123456", COMMIT, ".", "active"),
                ServerRelease("shop", "20260101T000000-0123456", COMMIT, "elsewhere", "active"),
            ),
            "20261121T230500-0123456",
        ),
    ],
    ids=["new", "kept", "active before newer", "newest", "not of another commit, app or folder"],
)
def test_a_commits_release_is_the_active_one_the_newest_kept_or_a_new_one(
    kept: tuple[ServerRelease, ...], expected: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert make_known(releases=kept).wanted.releases == {"shop": expected}


@pytest.mark.parametrize(("cpus", "workers"), [(1, 3), (2, 5), (64, 8)])
def test_workers_follow_the_processors(cpus: int, workers: int, make_host: MakeHost, make_known: MakeFacts) -> None:
    gunicorn = file(roles.everything(make_host(), *make_known(cpus=cpus)), "/etc/shop/gunicorn.conf.py")
    assert f"\nworkers = {workers}\n" in gunicorn.content


def test_an_app_without_a_migration_has_none(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}, migrate: false}}\n"), *make_known()))
    assert "migration:shop" not in found


def test_a_release_is_asked_for_through_nginx_only_where_there_is_nginx(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert activation(roles.everything(make_host(), *make_known())).slot.health.domain == "shop.example.com"
    without = make_host(f"{HOST}roles: [base, python, app]\napps:\n{SHOP}")
    assert activation(roles.everything(without, *make_known())).slot.health.domain == ""


def test_an_app_is_migrated_on_the_first_host_or_on_every_one(make_host: MakeHost, make_known: MakeFacts) -> None:
    def migration(more: str) -> Migration:
        resources = roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}{more}}}\n"), *make_known())
        return next(one for one in resources if isinstance(one, Migration))

    assert not migration("").every
    assert not migration(", migrate_on: first").every
    assert migration(", migrate_on: every").every
