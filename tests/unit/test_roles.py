from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.facts import Kept
from provision.engine.resource import Refusal
from provision.resources.authority import Authorities
from provision.resources.file import File
from provision.resources.git import Mirror
from provision.resources.release import Activation, Migration, Release
from provision.roles.app import release_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.engine.facts import Facts
    from provision.engine.resource import Resource
    from provision.inventory import Host

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Facts]

HOST = "hosts: {web1: 203.0.113.10}\n"
SHOP = "  shop: {source: https://git.example.com/shop.git, module: shop.main:app, domains: [shop.example.com]}\n"
BLOG = "  blog: {source: https://git.example.com/blog.git, module: blog.main:app, domains: [blog.example.com]}\n"
TWO = f"{HOST}apps:\n{SHOP}{BLOG}"
CA = Path(__file__).with_name("ca.pem")
PRIVATE = f"mirrors: {{ca_bundle: {CA}}}\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ids(resources: tuple[Resource, ...]) -> list[str]:
    return [resource.id for resource in resources]


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
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    """Only what others lean on is listed: more may stand in between."""
    listed = {*SERVER, *RELEASE}
    found = ids(roles.everything(make_host(), make_facts()))
    assert [name for name in found if name in listed] == SERVER + RELEASE


def test_the_server_has_nothing_of_the_release(make_host: MakeHost, make_facts: MakeFacts) -> None:
    server = ids(roles.server(make_host(), make_facts(commits={})))
    assert not set(RELEASE) & set(server)
    assert ids(roles.everything(make_host(), make_facts()))[: len(server)] == server


@pytest.mark.parametrize("text", [HOST, f"{HOST}apps:\n{SHOP}", TWO, f"{TWO}tls: {{issuer: self-signed}}\n"])
def test_all_ids_are_unique(text: str, make_host: MakeHost, make_facts: MakeFacts) -> None:
    found = ids(roles.everything(make_host(text), make_facts(commits={"shop": COMMIT, "blog": COMMIT})))
    assert len(found) == len(set(found))


def test_every_change_has_the_id_of_its_resource(make_host: MakeHost, make_facts: MakeFacts) -> None:
    for resource in roles.everything(
        make_host(f"{TWO}{PRIVATE}tls: {{check_dns: false}}\n"), make_facts(commits={"shop": COMMIT, "blog": COMMIT})
    ):
        change = resource.plan((), {})
        assert change is not None
        assert change.id == resource.id
        assert "\n" not in change.summary


def test_a_host_without_a_role_has_none_of_its_resources(make_host: MakeHost, make_facts: MakeFacts) -> None:
    found = ids(roles.everything(make_host(f"{HOST}roles: [base]\napps:\n{SHOP}"), make_facts()))
    assert "user:shop" in found
    assert not [name for name in found if "nginx" in name or "certificate" in name or "release" in name]


def test_a_python_that_is_there_needs_no_compiler(make_host: MakeHost, make_facts: MakeFacts) -> None:
    assert "packages:build" in ids(roles.server(make_host(), make_facts()))
    found = ids(roles.server(make_host(), make_facts(pythons=frozenset({"3.13.5"}))))
    assert "packages:build" not in found
    assert "python:3.13.5" in found


def test_two_apps_with_one_python_share_it(make_host: MakeHost, make_facts: MakeFacts) -> None:
    assert ids(roles.server(make_host(TWO), make_facts())).count("python:3.13.5") == 1


def test_a_self_signed_server_asks_no_authority_and_tells_no_browser_to_insist(
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    own = roles.server(make_host(f"{HOST}tls: {{issuer: self-signed}}\napps:\n{SHOP}"), make_facts())
    assert not [name for name in ids(own) if "certbot" in name or name.startswith("certificate:")]
    site = "/etc/nginx/sites-available/shop.conf"
    assert "Strict-Transport-Security" not in file(own, site).content
    assert "Strict-Transport-Security" in file(roles.server(make_host(), make_facts()), site).content
    off = roles.server(make_host(f"{HOST}tls: {{hsts: false}}\napps:\n{SHOP}"), make_facts())
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
    system: str, version: str, directive: bool, make_host: MakeHost, make_facts: MakeFacts
) -> None:
    server = roles.server(make_host(), make_facts(system=system, version=version))
    site = file(server, "/etc/nginx/sites-available/shop.conf").content
    assert ("http2 on;" in site) is directive
    assert ("listen 443 ssl http2;" in site) is not directive


def test_nginx_watches_each_file_that_it_reads(make_host: MakeHost, make_facts: MakeFacts) -> None:
    server = roles.server(make_host(TWO), make_facts())
    nginx = next(one for one in server if one.id == "service:nginx")
    watched = set(nginx.probe().item[2].split())
    written = {name.partition(":")[2] for name in ids(server) if ":/etc/nginx/" in name}
    assert watched == written


def test_the_environment_is_secret_and_quoted_for_systemd(make_host: MakeHost, make_facts: MakeFacts) -> None:
    text = f'{HOST}apps:\n{SHOP[:-2]}, environment: {{ODD: "a \\"b\\" $c `d` \\\\e"}}}}\n'
    environment = file(roles.everything(make_host(text), make_facts()), "/etc/shop/env")
    assert 'ODD="a \\"b\\" \\$c \\`d\\` \\\\e"\n' in environment.content
    assert (environment.secret, environment.mode, environment.group) == (True, 0o640, "shop")


def test_no_plan_shows_a_variables_value(make_host: MakeHost, make_facts: MakeFacts) -> None:
    text = f"{HOST}{PRIVATE}tls: {{check_dns: false}}\napps:\n{SHOP[:-2]}, secrets: [KEY]}}\n"
    resources = roles.everything(make_host(text, {"KEY": "a-secret-value"}), make_facts())
    for resource in resources:
        change = resource.plan((), {})
        assert change is not None
        assert "a-secret-value" not in change.summary + change.diff + repr(change)


def test_no_resources_repr_has_a_variables_value(make_host: MakeHost, make_facts: MakeFacts) -> None:
    text = f"{HOST}apps:\n{SHOP[:-2]}, secrets: [KEY]}}\n"
    resources = roles.everything(make_host(text, {"KEY": "a-secret-value"}), make_facts())
    assert "a-secret-value" not in repr(resources)


@pytest.mark.parametrize(
    "more",
    [
        "environment: {GREETING: bye}",
        "workers: 7",
        "timeout: 61",
        "memory_max: 512M",
        "module: shop.other:app",
        "requirements: requirements-prod.txt",
        "python: '3.12.1'",
        "source: {repository: https://git.example.com/shop.git, folder: app}",
    ],
)
def test_what_a_release_runs_with_is_in_its_fingerprint(more: str, make_host: MakeHost, make_facts: MakeFacts) -> None:
    key = more.partition(":")[0]
    kept = [part for part in SHOP.strip().removesuffix("}").partition("{")[2].split(", ") if not part.startswith(key)]
    changed = f"{HOST}apps:\n  shop: {{{', '.join([*kept, more])}}}\n"
    plain, other = (roles.everything(make_host(text), make_facts()) for text in (f"{HOST}apps:\n{SHOP}", changed))
    assert activation(plain).fingerprint != activation(other).fingerprint


def test_what_only_nginx_reads_activates_nothing(make_host: MakeHost, make_facts: MakeFacts) -> None:
    plain, other = (
        roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}, max_body: {size}}}\n"), make_facts())
        for size in ("10m", "20m")
    )
    assert activation(plain).fingerprint == activation(other).fingerprint


def test_the_same_wishes_have_the_same_fingerprint_later(make_host: MakeHost, make_facts: MakeFacts) -> None:
    first = make_facts()
    kept = (Kept("shop", release_id(make_host().apps["shop"], first), COMMIT, ".", "active"),)
    later = make_facts(now=first.now + timedelta(days=1), releases=kept)
    plain, again = (activation(roles.everything(make_host(), facts)) for facts in (first, later))
    assert plain == again


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((), "20261121T230500-0123456"),
        ((Kept("shop", "20260101T000000-0123456", COMMIT, ".", "good"),), "20260101T000000-0123456"),
        (
            (
                Kept("shop", "20260101T000000-0123456", COMMIT, ".", "active"),
                Kept("shop", "20260202T000000-0123456", COMMIT, ".", "good"),
            ),
            "20260101T000000-0123456",
        ),
        (
            (
                Kept("shop", "20260101T000000-0123456", COMMIT, ".", "good"),
                Kept("shop", "20260202T000000-0123456", COMMIT, ".", "good"),
            ),
            "20260202T000000-0123456",
        ),
        (
            (
                Kept("shop", "20260101T000000-fedcba9", "f" * 40, ".", "active"),
                Kept("blog", "20260101T000000-0123456", COMMIT, ".", "active"),
                Kept("shop", "20260101T000000-0123456", COMMIT, "elsewhere", "active"),
            ),
            "20261121T230500-0123456",
        ),
    ],
    ids=["new", "kept", "active before newer", "newest", "not of another commit, app or folder"],
)
def test_a_commits_release_is_the_active_one_the_newest_kept_or_a_new_one(
    kept: tuple[Kept, ...], expected: str, make_host: MakeHost, make_facts: MakeFacts
) -> None:
    assert release_id(make_host().apps["shop"], replace(make_facts(), releases=kept)) == expected


@pytest.mark.parametrize(("cpus", "workers"), [(1, 3), (2, 5), (64, 8)])
def test_workers_follow_the_processors(cpus: int, workers: int, make_host: MakeHost, make_facts: MakeFacts) -> None:
    gunicorn = file(roles.everything(make_host(), make_facts(cpus=cpus)), "/etc/shop/gunicorn.conf.py")
    assert f"\nworkers = {workers}\n" in gunicorn.content


def test_an_app_without_a_migration_has_none(make_host: MakeHost, make_facts: MakeFacts) -> None:
    found = ids(roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}, migrate: false}}\n"), make_facts()))
    assert "migration:shop" not in found


def test_a_release_is_asked_for_through_nginx_only_where_there_is_nginx(
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    assert activation(roles.everything(make_host(), make_facts())).domain == "shop.example.com"
    without = make_host(f"{HOST}roles: [base, python, app]\napps:\n{SHOP}")
    assert activation(roles.everything(without, make_facts())).domain == ""


def test_an_app_is_migrated_on_the_first_host_or_on_every_one(make_host: MakeHost, make_facts: MakeFacts) -> None:
    def migration(more: str) -> Migration:
        resources = roles.everything(make_host(f"{HOST}apps:\n{SHOP[:-2]}{more}}}\n"), make_facts())
        return next(one for one in resources if isinstance(one, Migration))

    assert not migration("").every
    assert not migration(", migrate_on: first").every
    assert migration(", migrate_on: every").every


OLDEST, OLDER, ACTIVE, NEWER = (
    f"2026110{day}T120000-{digits}" for day, digits in ((1, "1111111"), (2, "2222222"), (3, "3333333"), (4, "4444444"))
)


def keep(*states: str, app: str = "shop") -> tuple[Kept, ...]:
    """Up to four releases, oldest first, in these states; "-" is none."""
    ids_ = (OLDEST, OLDER, ACTIVE, NEWER)
    return tuple(
        Kept(app, id_, id_[-1] * 40, ".", state)  # type: ignore[arg-type]
        for id_, state in zip(ids_, states, strict=False)
        if state != "-"
    )


def released(resources: tuple[Resource, ...]) -> dict[str, str]:
    """Which release each app is to have."""
    return {one.app: one.release for one in resources if isinstance(one, Activation)}


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
    states: tuple[str, ...], expected: str, make_host: MakeHost, make_facts: MakeFacts
) -> None:
    assert released(roles.rolled_back(make_host(), make_facts(commits={}, releases=keep(*states)))) == {
        "shop": expected
    }


def test_a_rollback_has_all_of_a_release_but_its_migration(make_host: MakeHost, make_facts: MakeFacts) -> None:
    facts = make_facts(commits={}, releases=keep("-", "good", "active"))
    found = roles.rolled_back(make_host(), facts)
    assert [name for name in ids(found) if name in RELEASE] == [each for each in RELEASE if each != "migration:shop"]
    assert not [one for one in found if isinstance(one, Migration)]
    assert not set(SERVER) & set(ids(found))


def test_a_rollback_is_to_the_commit_of_the_release(make_host: MakeHost, make_facts: MakeFacts) -> None:
    found = roles.rolled_back(make_host(), make_facts(commits={}, releases=keep("-", "good", "active")))
    assert [one.commit for one in found if isinstance(one, Mirror | Release)] == ["2" * 40, "2" * 40]
    environment = file(found, "/etc/shop/env").content
    assert f'PROVISION_COMMIT="{"2" * 40}"\nPROVISION_RELEASE="{OLDER}"\n' in environment


def test_a_release_that_one_goes_back_to_runs_as_when_it_was_deployed(
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    """So it need not be checked again."""
    deployed = activation(
        roles.everything(make_host(), make_facts(commits={"shop": "2" * 40}, releases=keep("-", "good")))
    )
    facts = make_facts(commits={}, releases=keep("-", "good", "active"))
    assert activation(roles.rolled_back(make_host(), facts)) == deployed


@pytest.mark.parametrize("to", [OLDEST, "1111111"], ids=["id", "digits of the commit"])
def test_a_rollback_goes_to_the_release_that_is_named(to: str, make_host: MakeHost, make_facts: MakeFacts) -> None:
    facts = make_facts(commits={}, releases=keep("good", "good", "active"))
    assert released(roles.rolled_back(make_host(), facts, to)) == {"shop": OLDEST}


def test_a_release_that_is_named_may_be_newer_or_in_any_state(make_host: MakeHost, make_facts: MakeFacts) -> None:
    facts = make_facts(commits={}, releases=keep("failed", "new", "active", "good"))
    for to, expected in (("4444444", NEWER), ("1111111", OLDEST), ("2222222", OLDER), (ACTIVE, ACTIVE)):
        assert released(roles.rolled_back(make_host(), facts, to)) == {"shop": expected}


def test_of_two_releases_of_the_named_commit_the_newer_is_meant(make_host: MakeHost, make_facts: MakeFacts) -> None:
    again = "20261102T130000-1111111"
    kept = (*keep("good", "-", "active"), Kept("shop", again, "1" * 40, ".", "good"))
    found = roles.rolled_back(make_host(), make_facts(commits={}, releases=kept), "1111111")
    assert released(found) == {"shop": again}


def refusal(host: Host, facts: Facts, to: str | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        roles.rolled_back(host, facts, to)
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
    states: tuple[str, ...], before: str, make_host: MakeHost, make_facts: MakeFacts
) -> None:
    said = refusal(make_host(), make_facts(commits={}, releases=keep(*states)))
    assert said == f"shop: there is no good release before {before} on this server"


@pytest.mark.parametrize("to", ["fedcba9", "111111", "20261101T120000", "3333333-", "120000-1111111x"])
def test_a_release_that_is_not_there_is_refused_with_those_that_are(
    to: str, make_host: MakeHost, make_facts: MakeFacts
) -> None:
    kept = (*reversed(keep("good", "-", "active")), *keep("-", "-", "-", "good", app="blog"))
    said = refusal(make_host(), make_facts(commits={}, releases=kept), to)
    assert said == f"shop: there is no release {to} on this server; there are: {OLDEST}, {ACTIVE}"


def test_a_release_is_refused_where_there_is_none_at_all(make_host: MakeHost, make_facts: MakeFacts) -> None:
    said = refusal(make_host(), make_facts(commits={}), "fedcba9")
    assert said == "shop: there is no release fedcba9 on this server; there are: none"


def test_each_app_goes_back_to_its_own_release(make_host: MakeHost, make_facts: MakeFacts) -> None:
    kept = (*keep("good", "good", "active"), *keep("good", "active", app="blog"))
    found = roles.rolled_back(make_host(TWO), make_facts(commits={}, releases=kept))
    assert released(found) == {"shop": OLDER, "blog": OLDEST}


def test_one_app_that_cannot_go_back_keeps_the_others_where_they_are(
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    kept = (*keep("good", "good", "active"), *keep("-", "active", app="blog"))
    said = refusal(make_host(TWO), make_facts(commits={}, releases=kept))
    assert said == f"blog: there is no good release before {OLDER} on this server"


def test_a_restart_is_of_the_active_release_without_a_migration(make_host: MakeHost, make_facts: MakeFacts) -> None:
    facts = make_facts(commits={}, releases=keep("good", "failed", "active", "good"))
    found = roles.restarted(make_host(), facts)
    assert released(found) == {"shop": ACTIVE}
    assert [name for name in ids(found) if name in RELEASE] == [each for each in RELEASE if each != "migration:shop"]
    assert not set(SERVER) & set(ids(found))
    assert [one.commit for one in found if isinstance(one, Mirror | Release)] == ["3" * 40, "3" * 40]


def test_only_a_restart_wants_what_serves_started_anew(make_host: MakeHost, make_facts: MakeFacts) -> None:
    facts = make_facts(releases=keep("good", "-", "active"))
    assert activation(roles.restarted(make_host(), facts)).again
    assert not activation(roles.everything(make_host(), facts)).again
    assert not activation(roles.rolled_back(make_host(), facts)).again


def test_a_restart_takes_the_environment_as_it_is_now(make_host: MakeHost, make_facts: MakeFacts) -> None:
    facts = make_facts(commits={}, releases=keep("active"))
    found = roles.restarted(make_host(f"{HOST}apps:\n{SHOP[:-2]}, environment: {{GREETING: bye}}}}\n"), facts)
    environment = file(found, "/etc/shop/env")
    assert 'GREETING="bye"\n' in environment.content
    assert activation(found).environment == environment.sha256


def test_an_app_that_does_not_serve_yet_or_is_not_declared_is_not_restarted(
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    kept = (*keep("active"), *keep("good", "new", app="blog"), *keep("active", app="gone"))
    assert released(roles.restarted(make_host(TWO), make_facts(commits={}, releases=kept))) == {"shop": OLDEST}
    assert roles.restarted(make_host(), make_facts(commits={})) == ()


def block(text: str, head: str) -> str:
    """What is between the braces after the last line that begins with `head`."""
    rest = text[text.rindex(f"    {head} {{") :]
    return rest[: rest.index("\n    }\n")]


def site(make_host: MakeHost, make_facts: MakeFacts, more: str = "") -> str:
    return file(roles.server(make_host(more + TWO), make_facts()), "/etc/nginx/sites-available/shop.conf").content


def test_maintenance_answers_503_in_place_of_its_app_alone(make_host: MakeHost, make_facts: MakeFacts) -> None:
    location = block(site(make_host, make_facts), "location /")
    condition, _, proxied = location.partition("}")
    assert "if (-f /var/lib/provision/apps/shop/maintenance) {\n            return 503;" in condition
    assert "proxy_pass http://shop;" in proxied
    assert site(make_host, make_facts).count("/maintenance)") == 1


def test_the_maintenance_page_says_when_to_come_again_and_is_not_cached(
    make_host: MakeHost, make_facts: MakeFacts
) -> None:
    page = block(site(make_host, make_facts), "location @maintenance")
    for line in (
        "internal;",
        "default_type text/html;",
        "add_header Retry-After 120 always;",
        "add_header Cache-Control no-store always;",
    ):
        assert f"        {line}\n" in page
    assert "error_page 503 @maintenance;" in site(make_host, make_facts)
    assert 'return 503 "<!doctype html>' in page


def test_the_maintenance_page_insists_on_https_where_the_app_does(make_host: MakeHost, make_facts: MakeFacts) -> None:
    """A location with headers of its own takes over none of the server's."""
    for more, insists in (("", True), ("tls: {hsts: false}\n", False), ("tls: {issuer: self-signed}\n", False)):
        page = block(site(make_host, make_facts, more), "location @maintenance")
        assert ("Strict-Transport-Security" in page) is insists


def test_an_authority_is_answered_during_maintenance(make_host: MakeHost, make_facts: MakeFacts) -> None:
    plain = site(make_host, make_facts).partition("listen 443")[0]
    assert "/.well-known/acme-challenge/" in plain
    assert "maintenance" not in plain


def test_the_files_of_authorities_are_not_read_again_by_roles(
    make_host: MakeHost, make_facts: MakeFacts, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(CA.read_text())
    host = make_host(f"{TWO}tls: {{issuer_ca: ca.pem}}\nmirrors: {{ca_bundle: ca.pem}}\n")
    (tmp_path / "ca.pem").unlink()
    server = roles.server(host, make_facts())
    assert file(server, "/etc/provision/acme-ca.pem").content == CA.read_text()
    (trusted,) = (one for one in server if isinstance(one, Authorities))
    assert "".join(trusted.certificates) == CA.read_text()
