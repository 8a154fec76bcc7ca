from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.facts import SYSTEM
from provision.engine.resource import State
from provision.errors import PlanError
from provision.release.activation import Activation, Promotion
from provision.release.facts import ServerRelease
from provision.release.migration import Migration
from provision.release.preview import NoPreview, Preview
from provision.release.removal import RemovedUnit
from provision.release.tree import Release
from provision.release.uv import Uv
from provision.release.venv import Venv
from provision.resources.file import File
from provision.resources.git import DeployKey, Mirror
from provision.resources.package import Packages
from provision.resources.python import CPython
from provision.resources.trust import TrustedCertificates
from tests import pem

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.engine.resource import Resource
    from provision.inventory import Host
    from tests.unit.conftest import Known

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Known]

HOST = "hosts: {web1: 203.0.113.10}\n"
SHOP = "  shop: {source: https://git.example.com/shop.git, module: shop.main:app, domains: [shop.example.com]}\n"
BLOG = "  blog: {source: https://git.example.com/blog.git, module: blog.main:app, domains: [blog.example.com]}\n"
TWO = f"{HOST}apps:\n{SHOP}{BLOG}"
CA = Path(__file__).with_name("ca.pem")
PRIVATE = f"mirrors: {{ca_bundle: {CA}}}\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ids(resources: tuple[Resource, ...]) -> list[str]:
    return [str(resource.ref) for resource in resources]


def file(resources: tuple[Resource, ...], path: str) -> File:
    return next(one for one in resources if isinstance(one, File) and one.path == path)


def activation(resources: tuple[Resource, ...]) -> Activation:
    return next(one for one in resources if isinstance(one, Activation))


RELEASE = [
    "mirror:/srv/shop/repository.git",
    "release:shop",
    "venv:shop",
    "file:/etc/shop/env",
    "file:/etc/shop/gunicorn.conf.py",
    "check:shop",
    "migration:shop",
    "activation:shop",
]
SERVER = [
    "packages:base",
    "file:/etc/timezone",
    "file:/etc/default/locale",
    "directory:/var/lib/provision",
    "group:shop",
    "user:shop",
    "packages:build",
    "pyenv:v2.6.30",
    "python:3.13.5",
    "directory:/srv/shop/shared",
    "directory:/etc/shop",
    "file:/etc/systemd/system/shop@.service",
    "packages:nginx",
    "placeholder:/etc/ssl/provision/default",
    "placeholder:/etc/ssl/provision/shop",
    "file:/etc/nginx/nginx.conf",
    "file:/etc/nginx/sites-available/shop.conf",
    "link:/etc/nginx/sites-enabled/shop.conf",
    "service:nginx",
    "packages:certbot",
    "service:certbot.timer",
    "certificate:/etc/ssl/provision/shop",
    "service:nginx-certificates",
]


def test_ten_lines_of_inventory_are_a_server_and_a_release_in_this_order(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """Only what others lean on is listed: more may stand in between."""
    listed = {*SERVER, *RELEASE}
    found = ids(roles.everything(make_host(), *make_known()))
    assert [name for name in found if name in listed] == SERVER + RELEASE


def test_the_server_has_nothing_of_the_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    server = ids(roles.server(make_host(), *make_known(commits={})))
    assert not set(RELEASE) & set(server)
    assert ids(roles.everything(make_host(), *make_known()))[: len(server)] == server


@pytest.mark.parametrize("text", [HOST, f"{HOST}apps:\n{SHOP}", TWO, f"{TWO}tls: {{issuer: self-signed}}\n"])
def test_all_ids_are_unique(text: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(text), *make_known(commits={"shop": COMMIT, "blog": COMMIT})))
    assert len(found) == len(set(found))


def test_every_change_has_the_id_of_its_resource(make_host: MakeHost, make_known: MakeFacts) -> None:
    for resource in roles.everything(
        make_host(f"{TWO}{PRIVATE}tls: {{check_dns: false}}\n"), *make_known(commits={"shop": COMMIT, "blog": COMMIT})
    ):
        change = resource.plan(State(), {})
        assert change is not None
        assert change.id == str(resource.ref)
        assert "\n" not in change.summary


def test_a_host_without_a_role_has_none_of_its_resources(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(f"{HOST}roles: [base]\napps:\n{SHOP}"), *make_known()))
    assert "user:shop" in found
    assert not [name for name in found if "nginx" in name or "certificate" in name or "release" in name]


def test_a_python_that_is_there_needs_no_compiler(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert "packages:build" in ids(roles.server(make_host(), *make_known()))
    found = ids(roles.server(make_host(), *make_known(pythons=frozenset({"3.13.5"}))))
    assert "packages:build" not in found
    assert "python:3.13.5" in found


def test_two_apps_with_one_python_share_it(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert ids(roles.server(make_host(TWO), *make_known())).count("python:3.13.5") == 1


def test_where_every_app_has_the_distributions_python_nothing_is_built_and_pyenv_is_not_there(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    resources = roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}, python: system}}\n"), *make_known())
    assert not [one for one in ids(resources) if one.startswith(("packages:build", "pyenv:", "python:"))]
    packages = next(one for one in resources if str(one.ref) == "packages:python")
    assert isinstance(packages, Packages)
    assert packages.names == ("python3", "python3-venv")
    (uv,) = (one for one in resources if isinstance(one, Uv))
    (venv,) = (one for one in resources if isinstance(one, Venv))
    assert uv.python == venv.python == "/usr"
    assert ids(resources).index("packages:python") < ids(resources).index(str(uv.ref))


def test_one_app_may_have_the_distributions_python_and_another_its_own(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, python: {{version: system, cache: false}}}}\n{BLOG}"
    resources = roles.everything(make_host(text), *make_known(commits={"shop": COMMIT, "blog": COMMIT}))
    assert {"packages:python", "packages:build", "pyenv:v2.6.30", "python:3.13.5"} <= set(ids(resources))
    venvs = {one.app: one.python for one in resources if isinstance(one, Venv)}
    assert venvs == {"shop": "/usr", "blog": "/opt/pyenv/versions/3.13.5"}


def test_a_server_without_the_distributions_python_has_no_package_of_it(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert "packages:python" not in ids(roles.server(make_host(), *make_known()))


def test_a_server_with_a_certificate_of_its_own_asks_no_authority(
    make_host: MakeHost, make_known: MakeFacts, tmp_path: Path
) -> None:
    pem.write(tmp_path, "own", "*.example.com")
    files = f"tls: {{issuer: files, certificate: {tmp_path}/own.pem, key: {tmp_path}/own.key}}\n"
    given = roles.server(make_host(f"{HOST}{files}apps:\n{SHOP}"), *make_known())
    assert [name for name in ids(given) if "certbot" in name or "certificate" in name] == [
        "certificate:/etc/ssl/provision/shop",
        "service:nginx-certificates",
    ]


def test_a_self_signed_server_asks_no_authority_and_tells_no_browser_to_insist(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    own = roles.server(make_host(f"{HOST}tls: {{issuer: self-signed}}\napps:\n{SHOP}"), *make_known())
    assert not [name for name in ids(own) if "certbot" in name or name.startswith("certificate:")]
    site = "/etc/nginx/sites-available/shop.conf"
    assert "Strict-Transport-Security" not in file(own, site).content
    assert "Strict-Transport-Security" in file(roles.server(make_host(), *make_known()), site).content
    off = roles.server(make_host(f"{HOST}tls: {{hsts: false}}\napps:\n{SHOP}"), *make_known())
    assert "Strict-Transport-Security" not in file(off, site).content


@pytest.mark.parametrize(
    ("system", "version", "directive"),
    [
        ("debian", "11", False),
        ("debian", "12", False),
        ("debian", "13", True),
        ("ubuntu", "22.04", False),
        ("ubuntu", "24.04", False),
        ("ubuntu", "26.04", True),
    ],
)
def test_http2_is_written_as_the_distributions_nginx_reads_it(
    system: str, version: str, directive: bool, make_host: MakeHost, make_known: MakeFacts
) -> None:
    server = roles.server(make_host(), *make_known(system=system, version=version))
    site = file(server, "/etc/nginx/sites-available/shop.conf").content
    assert ("http2 on;" in site) is directive
    assert ("listen 443 ssl http2;" in site) is not directive


def test_nginx_watches_each_file_that_it_reads(make_host: MakeHost, make_known: MakeFacts) -> None:
    server = roles.server(make_host(TWO), *make_known())
    nginx = next(one for one in server if str(one.ref) == "service:nginx")
    watched = set(nginx.probe().item[2].split())
    written = {name.partition(":")[2] for name in ids(server) if ":/etc/nginx/" in name}
    assert watched == written


def test_the_environment_is_secret_and_quoted_for_systemd(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f'{HOST}apps:\n{SHOP[:-2]}, environment: {{ODD: "a \\"b\\" $c `d` \\\\e"}}}}\n'
    environment = file(roles.everything(make_host(text), *make_known()), "/etc/shop/env")
    assert 'ODD="a \\"b\\" \\$c \\`d\\` \\\\e"\n' in environment.content
    assert (environment.secret, environment.mode, environment.group) == (True, 0o640, "shop")


def test_no_plan_shows_a_variables_value(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = f"{HOST}{PRIVATE}tls: {{check_dns: false}}\napps:\n{SHOP[:-2]}, secrets: [KEY]}}\n"
    resources = roles.everything(make_host(text, {"KEY": "a-secret-value"}), *make_known())
    for resource in resources:
        change = resource.plan(State(), {})
        assert change is not None
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
        assert f"\nTimeoutStopSec={drain + 5}\n" in file(found, "/etc/systemd/system/shop@.service").content


def test_the_slots_copies_are_the_files_as_they_are_written(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.everything(make_host(), *make_known())
    assert activation(found).slot.copies == tuple(
        (name, file(found, f"/etc/shop/{name}").sha256) for name in ("env", "gunicorn.conf.py")
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


OLDEST, OLDER, ACTIVE, NEWER = (
    f"2026110{day}T120000-{digits}" for day, digits in ((1, "1111111"), (2, "2222222"), (3, "3333333"), (4, "4444444"))
)


def keep(*states: str, app: str = "shop") -> tuple[ServerRelease, ...]:
    """Up to four releases, oldest first, in these states; "-" is none."""
    ids_ = (OLDEST, OLDER, ACTIVE, NEWER)
    return tuple(
        ServerRelease(app, id_, id_[-1] * 40, ".", state)  # type: ignore[arg-type]
        for id_, state in zip(ids_, states, strict=False)
        if state != "-"
    )


def released(resources: tuple[Resource, ...]) -> dict[str, str]:
    """Which release each app is to have."""
    return {one.slot.app: one.release for one in resources if isinstance(one, Activation)}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("good", "good", "active", "good"), OLDER),
        (("good", "failed", "active", "good"), OLDEST),
        (("good", "new", "active", "good"), OLDEST),
        (("good", "-", "active"), OLDEST),
    ],
    ids=["the one before", "not a failed one", "not one that never served", "not one that is gone"],
)
def test_a_rollback_goes_to_the_good_release_before_the_active_one(
    states: tuple[str, ...], expected: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert released(roles.rolled_back(make_host(), *make_known(commits={}, releases=keep(*states)))) == {
        "shop": expected
    }


def test_a_rollback_has_all_of_a_release_but_its_migration(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("-", "good", "active"))
    found = roles.rolled_back(make_host(), *facts)
    assert [name for name in ids(found) if name in RELEASE] == [each for each in RELEASE if each != "migration:shop"]
    assert not [one for one in found if isinstance(one, Migration)]


def test_a_rollback_and_a_restart_leave_the_server_as_it_is_but_for_what_the_manager_reads(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={}, releases=keep("-", "good", "active"))
    for found in (roles.rolled_back(make_host(), *facts), roles.restarted(make_host(), *facts)):
        assert set(SERVER) & set(ids(found)) == {"file:/etc/systemd/system/shop@.service"}
        assert ids(found).index("file:/etc/systemd/system/shop@.service") < ids(found).index("activation:shop")


def test_a_rollback_is_to_the_commit_of_the_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.rolled_back(make_host(), *make_known(commits={}, releases=keep("-", "good", "active")))
    assert [one.commit for one in found if isinstance(one, Mirror | Release)] == ["2" * 40, "2" * 40]
    environment = file(found, "/etc/shop/env").content
    assert f'PROVISION_COMMIT="{"2" * 40}"\nPROVISION_RELEASE="{OLDER}"\n' in environment


def test_a_release_that_one_goes_back_to_runs_as_when_it_was_deployed(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """So it need not be checked again."""
    deployed = activation(
        roles.everything(make_host(), *make_known(commits={"shop": "2" * 40}, releases=keep("-", "good")))
    )
    facts = make_known(commits={}, releases=keep("-", "good", "active"))
    assert activation(roles.rolled_back(make_host(), *facts)) == deployed


@pytest.mark.parametrize("to", [OLDEST, "1111111"], ids=["id", "digits of the commit"])
def test_a_rollback_goes_to_the_release_that_is_named(to: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("good", "good", "active"))
    assert released(roles.rolled_back(make_host(), *facts, to)) == {"shop": OLDEST}


def test_a_release_that_is_named_may_be_newer_or_in_any_state(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("failed", "new", "active", "good"))
    for to, expected in (("4444444", NEWER), ("1111111", OLDEST), ("2222222", OLDER), (ACTIVE, ACTIVE)):
        assert released(roles.rolled_back(make_host(), *facts, to)) == {"shop": expected}


def test_of_two_releases_of_the_named_commit_the_newer_is_meant(make_host: MakeHost, make_known: MakeFacts) -> None:
    again = "20261102T130000-1111111"
    kept = (*keep("good", "-", "active"), ServerRelease("shop", again, "1" * 40, ".", "good"))
    found = roles.rolled_back(make_host(), *make_known(commits={}, releases=kept), "1111111")
    assert released(found) == {"shop": again}


def refusal(host: Host, known: Known, to: str | None = None) -> str:
    with pytest.raises(PlanError) as caught:
        roles.rolled_back(host, *known, to)
    return str(caught.value)


@pytest.mark.parametrize(
    ("states", "before"),
    [
        ((), "the first one"),
        (("good", "good"), "the first one"),
        (("active",), OLDEST),
        (("-", "-", "active", "good"), ACTIVE),
        (("failed", "new", "active", "good"), ACTIVE),
    ],
    ids=["nothing", "nothing active", "only one", "only newer ones", "no good one"],
)
def test_a_rollback_without_a_good_release_before_is_refused(
    states: tuple[str, ...], before: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    said = refusal(make_host(), make_known(commits={}, releases=keep(*states)))
    assert said == f"shop: there is no good release before {before} on this server"


@pytest.mark.parametrize("to", ["fedcba9", "111111", "20261101T120000", "3333333-", "120000-1111111x"])
def test_a_release_that_is_not_there_is_refused_with_those_that_are(
    to: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    kept = (*reversed(keep("good", "-", "active")), *keep("-", "-", "-", "good", app="blog"))
    said = refusal(make_host(), make_known(commits={}, releases=kept), to)
    assert said == f"shop: there is no release {to} on this server; there are: {OLDEST}, {ACTIVE}"


def test_a_release_is_refused_where_there_is_none_at_all(make_host: MakeHost, make_known: MakeFacts) -> None:
    said = refusal(make_host(), make_known(commits={}), "fedcba9")
    assert said == "shop: there is no release fedcba9 on this server; there are: none"


def test_each_app_goes_back_to_its_own_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (*keep("good", "good", "active"), *keep("good", "active", app="blog"))
    found = roles.rolled_back(make_host(TWO), *make_known(commits={}, releases=kept))
    assert released(found) == {"shop": OLDER, "blog": OLDEST}


def test_one_app_that_cannot_go_back_keeps_the_others_where_they_are(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    kept = (*keep("good", "good", "active"), *keep("-", "active", app="blog"))
    said = refusal(make_host(TWO), make_known(commits={}, releases=kept))
    assert said == f"blog: there is no good release before {OLDER} on this server"


def test_a_restart_is_of_the_active_release_without_a_migration(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("good", "failed", "active", "good"))
    found = roles.restarted(make_host(), *facts)
    assert released(found) == {"shop": ACTIVE}
    assert [name for name in ids(found) if name in RELEASE] == [each for each in RELEASE if each != "migration:shop"]
    assert [one.commit for one in found if isinstance(one, Mirror | Release)] == ["3" * 40, "3" * 40]


def test_only_a_restart_wants_what_serves_started_anew(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(releases=keep("good", "-", "active"))
    assert activation(roles.restarted(make_host(), *facts)).again
    assert not activation(roles.everything(make_host(), *facts)).again
    assert not activation(roles.rolled_back(make_host(), *facts)).again


def test_a_restart_takes_the_environment_as_it_is_now(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("active"))
    found = roles.restarted(make_host(f"{HOST}apps:\n{SHOP[:-2]}, environment: {{GREETING: bye}}}}\n"), *facts)
    environment = file(found, "/etc/shop/env")
    assert 'GREETING="bye"\n' in environment.content
    assert dict(activation(found).slot.copies)["env"] == environment.sha256


def test_an_app_that_does_not_serve_yet_or_is_not_declared_is_not_restarted(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    kept = (*keep("active"), *keep("good", "new", app="blog"), *keep("active", app="gone"))
    assert released(roles.restarted(make_host(TWO), *make_known(commits={}, releases=kept))) == {"shop": OLDEST}
    assert roles.restarted(make_host(), *make_known(commits={})) == ()


HOLD = ["hold:shop" if name == "activation:shop" else name for name in RELEASE]
TOKEN = "0123456789abcdef0123456789abcdef"
BUSY = f"{HOST}apps:\n{SHOP[:-2]}, processes: {{worker: run}}, schedules: {{tidy: {{at: '03:00', run: tidy}}}}}}\n"


def test_a_hold_has_all_of_a_deploy_but_the_activation(make_host: MakeHost, make_known: MakeFacts) -> None:
    listed = {*SERVER, *RELEASE, *HOLD}
    found = roles.previewed(make_host(), *make_known(wanted={"token": TOKEN}))
    assert [name for name in ids(found) if name in listed] == SERVER + HOLD
    assert not [one for one in found if isinstance(one, Activation)]


def test_what_is_held_is_what_a_deploy_would_activate(make_host: MakeHost, make_known: MakeFacts) -> None:
    """So a deploy of the same commit only promotes it."""
    (hold,) = (
        one for one in roles.previewed(make_host(), *make_known(wanted={"token": TOKEN})) if isinstance(one, Preview)
    )
    wanted = activation(roles.everything(make_host(), *make_known()))
    assert (hold.slot, hold.release, hold.folder, hold.fingerprint) == (
        wanted.slot,
        wanted.release,
        wanted.folder,
        wanted.fingerprint,
    )
    assert hold.token == TOKEN


def test_two_apps_are_held_with_one_token(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.previewed(
        make_host(TWO), *make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"token": TOKEN})
    )
    assert [(one.slot.app, one.token) for one in found if isinstance(one, Preview)] == [
        ("shop", TOKEN),
        ("blog", TOKEN),
    ]


def test_a_host_without_apps_holds_nothing(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}roles: [base]\napps:\n{SHOP}")
    assert ids(roles.previewed(host, *make_known(wanted={"token": TOKEN}))) == ids(roles.server(host, *make_known()))


def test_the_release_that_is_held_is_promoted_and_no_other(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("good", "-", "active", "new"), previews={"shop": (NEWER, TOKEN)})
    found = roles.promoted(make_host(TWO), *facts)
    assert [(one.slot.app, one.release) for one in found if isinstance(one, Promotion)] == [("shop", NEWER)]
    assert not [one for one in found if isinstance(one, Activation | Release | Mirror)]


def test_a_release_is_promoted_with_the_hooks_of_its_own_folder(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (
        ServerRelease("shop", NEWER, "4" * 40, "services/shop", "new"),
        ServerRelease("blog", NEWER, "4" * 40, "blog", "new"),
    )
    facts = make_known(commits={}, releases=kept, previews={"shop": (NEWER, TOKEN)})
    host = make_host(f"{HOST}apps:\n{SHOP[:-2]}, processes: {{worker: run}}, hooks: {{after: tell}}}}\n")
    (promotion,) = (one for one in roles.promoted(host, *facts) if isinstance(one, Promotion))
    assert promotion.folder == "services/shop"
    assert (promotion.slot.processes, promotion.slot.after) == (("worker",), "tell")


@pytest.mark.parametrize("held", [{}, {"gone": (NEWER, TOKEN)}], ids=["nothing", "of an app that is not declared"])
def test_a_promotion_without_a_release_that_is_held_is_refused(
    held: dict[str, tuple[str, str]], make_host: MakeHost, make_known: MakeFacts
) -> None:
    with pytest.raises(PlanError) as caught:
        roles.promoted(make_host(), *make_known(commits={}, previews=held))
    assert str(caught.value) == "web1: no release is held here: invoke deploy --hold holds one"


def test_a_promotion_is_refused_where_the_host_has_no_apps(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}roles: [base, web]\napps:\n{SHOP}")
    with pytest.raises(PlanError, match=r"^web1: no release is held here"):
        roles.promoted(host, *make_known(commits={}, previews={"shop": (NEWER, TOKEN)}))


def test_a_rollback_drops_what_is_held_and_touches_nothing_else(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (*keep("good", "good", "active", "new"), *keep("-", "active", app="blog"))
    facts = make_known(commits={}, releases=kept, previews={"shop": (NEWER, TOKEN)})
    found = roles.rolled_back(make_host(TWO), *facts)
    assert ids(found) == ["hold:shop"]
    (dropped,) = found
    assert isinstance(dropped, NoPreview)
    assert dropped.release == NEWER


def test_a_rollback_to_a_release_that_is_named_goes_there_whatever_is_held(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={}, releases=keep("good", "good", "active", "new"), previews={"shop": (NEWER, TOKEN)})
    assert released(roles.rolled_back(make_host(), *facts, OLDEST)) == {"shop": OLDEST}
    assert released(roles.rolled_back(make_host(), *facts, NEWER)) == {"shop": NEWER}


def test_what_is_held_of_an_app_that_is_not_declared_does_not_matter(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={}, releases=keep("good", "-", "active"), previews={"gone": (NEWER, TOKEN)})
    assert released(roles.rolled_back(make_host(), *facts)) == {"shop": OLDEST}


def retired(resources: tuple[Resource, ...]) -> list[tuple[str, str]]:
    return [(one.path, one.phase) for one in resources if isinstance(one, RemovedUnit)]


def test_units_that_the_inventory_does_not_name_any_more_go_before_the_release_comes(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    paths = [
        f"/etc/systemd/system/{name}"
        for name in ("shop@.service", "shop-worker.service", "shop-mail.service", "shop-tidy.timer", "shop-tell.timer")
    ]
    units = (*(("shop", path) for path in paths), ("blog", "/etc/systemd/system/blog-x.service"))
    found = roles.everything(make_host(BUSY), *make_known(managed=units))
    assert retired(found) == [(paths[2], "prepare"), (paths[4], "prepare")]
    assert ids(found).index("retired:shop-mail.service") < ids(found).index("activation:shop")


def test_an_apps_units_and_timers_stand_around_its_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = ids(roles.everything(make_host(BUSY), *make_known()))
    units = "/etc/systemd/system"
    listed = [
        f"file:{units}/shop@.service",
        f"file:{units}/shop-worker.service",
        f"file:{units}/shop-tidy.service",
        f"file:{units}/shop-tidy.timer",
        "activation:shop",
        "service:shop-tidy.timer",
    ]
    assert [name for name in found if name in listed] == listed


def test_a_release_that_is_held_leaves_the_one_that_serves_its_processes(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """What the inventory does not name any more goes with the traffic: until then, the release that has it needs it."""
    units = (("shop", "/etc/systemd/system/shop-mail.service"), ("shop", "/etc/systemd/system/shop-tell.timer"))
    facts = make_known(managed=units, wanted={"token": TOKEN}, previews={"shop": (NEWER, TOKEN)})
    assert retired(roles.previewed(make_host(BUSY), *facts)) == []
    assert [path for path, _ in retired(roles.promoted(make_host(BUSY), *facts))] == [path for _, path in units]


def test_a_promotion_starts_the_timers_that_a_hold_did_not(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(wanted={"token": TOKEN}, previews={"shop": (NEWER, TOKEN)})
    assert "service:shop-tidy.timer" not in ids(roles.previewed(make_host(BUSY), *facts))
    assert "service:shop-tidy.timer" in ids(roles.promoted(make_host(BUSY), *facts))


REPOSITORY = TWO.replace("https://git.example.com/shop.git", "{repository: 'git@git.example.com:shop.git', %s}")
LINES = ("git.example.com ssh-ed25519 AAAA",)


def mirror(resources: tuple[Resource, ...], app: str = "shop") -> Mirror:
    return next(one for one in resources if isinstance(one, Mirror) and one.path == f"/srv/{app}/repository.git")


def test_only_a_private_repository_brings_ssh_a_key_and_pinned_host_keys(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}})
    found = roles.everything(make_host(REPOSITORY % "deploy_key: generate"), *facts)
    assert [one for one in found if isinstance(one, DeployKey)] == [
        DeployKey("shop", "/etc/shop/deploy_key", "shop@web1", "git@git.example.com:shop.git")
    ]
    assert file(found, "/etc/shop/known_hosts").content == "git.example.com ssh-ed25519 AAAA\n"
    assert [one for one in ids(found) if "known_hosts" in one or one.startswith("deploy-key")] == [
        "deploy-key:shop",
        "file:/etc/shop/known_hosts",
    ]
    assert ids(found).index("file:/etc/shop/known_hosts") < ids(found).index("mirror:/srv/shop/repository.git")
    packages = next(one for one in found if isinstance(one, Packages))
    assert "openssh-client" in packages.names
    access = mirror(found).access
    assert access
    assert (access.key, access.known_hosts) == ("own", "/etc/shop/known_hosts")
    assert mirror(found, "blog").access is None
    public = next(one for one in roles.server(make_host(TWO), *facts) if isinstance(one, Packages))
    assert "openssh-client" not in public.names


def test_the_deploy_key_belongs_to_the_server_and_can_be_made_ahead_of_a_release(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert "deploy-key:shop" in ids(roles.server(make_host(REPOSITORY % "deploy_key: generate"), *make_known()))


@pytest.mark.parametrize(("more", "key"), [("forward_agent: true", "agent"), ("folder: .", "root")])
def test_a_server_without_a_key_of_its_own_uses_the_agent_or_what_root_has(
    more: str, key: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}})
    found = roles.everything(make_host(REPOSITORY % more), *facts)
    access = mirror(found).access
    assert access
    assert access.key == key
    assert not [one for one in found if isinstance(one, DeployKey)]


def test_the_way_to_the_repository_is_not_in_the_fingerprint(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={"shop": COMMIT, "blog": COMMIT}, wanted={"host_keys": {"shop": LINES}})
    fingerprints = {
        activation(roles.everything(make_host(REPOSITORY % more), *facts)).fingerprint
        for more in ("deploy_key: generate", "forward_agent: true")
    }
    assert len(fingerprints) == 1


def test_the_files_of_authorities_are_not_read_again_by_roles(
    make_host: MakeHost, make_known: MakeFacts, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(CA.read_text())
    host = make_host(f"{TWO}tls: {{issuer_ca: ca.pem}}\nmirrors: {{ca_bundle: ca.pem}}\n")
    (tmp_path / "ca.pem").unlink()
    server = roles.server(host, *make_known())
    assert file(server, "/etc/provision/acme-ca.pem").content == CA.read_text()
    (trusted,) = (one for one in server if isinstance(one, TrustedCertificates))
    assert "".join(trusted.certificates) == CA.read_text()


@pytest.mark.parametrize("python", ["system", '"3.13.5"'])
def test_only_the_inventory_makes_a_vm_and_a_lab_server_differ(
    python: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    rest = (
        "tls: {issuer: self-signed}\n"
        "apps:\n  shop:\n    source: https://git.example.com/shop.git\n    module: shop.main:app\n"
        f"    domains: [shop.test]\n    python: {python}\n"
    )
    vm = make_host(f"connect: vagrant\nhosts: {{web1: }}\n{rest}")
    server = make_host(f"user: admin\nport: 2222\nhosts: {{web1: 203.0.113.10}}\n{rest}")
    known = make_known(login="admin", home="/home/admin", memory=24 * 1024**3)
    emulated = make_known(login="vagrant", home="/home/vagrant", memory=1024**3)
    wanted = [unreached(roles.everything(host, *seen)) for host, seen in ((vm, emulated), (server, known))]
    assert wanted[0] == wanted[1]


def unreached(resources: tuple[Resource, ...]) -> list[Resource]:
    """Without the login and its home, by way of which files are sent: they belong to the connection."""
    same: list[Resource] = []
    for one in resources:
        if isinstance(one, Mirror):
            one = replace(one, home="")
        elif isinstance(one, CPython):
            one = replace(one, login="", home="")
        same.append(one)
    return same
