"""Changes made by hand on a deployed server are found and repaired, and nothing else is touched."""

from dataclasses import dataclass

import pytest

from tests.lab.conftest import sampled, shell
from tests.lab.sample_site import SERVER, Site, assert_all_is_well, status

pytest_plugins = ("tests.lab.sample_site",)
KINDS = {
    *("packages", "file", "files", "directory", "group", "user", "owner", "service", "placeholder", "certificate"),
    *("pyenv", "python", "uv", "mirror", "release", "venv", "check", "migration", "activation"),
}
SITE = "/etc/nginx/sites-available/sample.conf"
LIVE = "/etc/ssl/provision/sample"
UNIT = "/etc/systemd/system/sample@$active.service"
# Sets the names of the active slot and of the idle one.
SLOTS = "active=$(basename $(readlink /run/sample/current.sock) .sock); idle=$(echo bluegreen | sed s/$active//); "
WORKERS = "cat /proc/$(cat /run/nginx.pid)/task/*/children"


def named(ids: list[str]) -> list[str]:
    """Ids as in the table below: without the versions of pyenv, Python and uv."""
    return [kind if kind in ("pyenv", "python", "uv") else f"{kind}:{rest}" for kind, _, rest in map(_parts, ids)]


def _parts(name: str) -> tuple[str, str, str]:
    return name.partition(":")


def test_a_bare_server_has_all_kinds_after_one_deploy(site: Site) -> None:
    assert {kind for kind, _, _ in map(_parts, site.first.changed(SERVER))} == KINDS
    assert site.first.host(SERVER)["execs"] == 3
    assert status() == "200"


def test_a_run_that_changes_nothing_costs_two_execs(site: Site) -> None:
    again = site.deploy().host(SERVER)
    assert (again["status"], again["changes"], again["changed"], again["execs"]) == ("ok", [], 0, 2)
    plan = site.plan()
    assert (plan.status, plan.host(SERVER)["execs"]) == (0, 2)


@dataclass(frozen=True)
class Drift:
    """A change by hand, the ids that the next plan has, and a command that succeeds once it is repaired.

    `serves` says whether the site answers meanwhile; None if that depends on the files that the app has open.
    """

    name: str
    hand: str
    names: tuple[str, ...]
    repaired: str
    serves: bool | None = True


ACTIVATION = "activation:sample"
RESTORED = ("check:sample", ACTIVATION)
DRIFTS = (
    Drift(
        "certbot removed",
        "dpkg --remove --force-depends certbot",
        ("packages:certbot", "service:certbot.timer"),
        "certbot --version && systemctl is-active certbot.timer",
    ),
    Drift(
        "junk in the site's file",
        f"echo junk >>{SITE}",
        ("files:nginx", "service:nginx"),
        f"! grep -q junk {SITE} && nginx -t",
    ),
    Drift(
        "a file's owner and mode",
        "chown www-data /etc/tmpfiles.d/sample.conf; chmod 666 /etc/sample/env",
        ("file:/etc/tmpfiles.d/sample.conf", "file:/etc/sample/env"),
        "test $(stat -c %U:%a /etc/tmpfiles.d/sample.conf /etc/sample/env | tr '\\n' ,) = root:644,root:640,",
    ),
    Drift(
        "a value in a secret file",
        "sed -i 's/^SECRET_KEY=.*/SECRET_KEY=\"changed by hand\"/' /etc/sample/env",
        ("file:/etc/sample/env",),
        "! grep -q 'by hand' /etc/sample/env",
    ),
    Drift(
        "a directory removed",
        "rm -rf /var/www/acme",
        ("directory:/var/www/acme",),
        "test $(stat -c %a /var/www/acme) = 755",
    ),
    Drift(
        "the shared folder removed, and the database with it",
        "rm -rf /srv/sample/shared",
        ("directory:/srv/sample/shared", "migration:sample", ACTIVATION),
        "test $(stat -c %U:%a /srv/sample/shared) = sample:750 && test -s /srv/sample/shared/sample.db",
        serves=None,
    ),
    Drift(
        "a link that leads elsewhere",
        "ln -sfn /etc/motd /etc/nginx/sites-enabled/zz-sample.conf",
        ("files:nginx", "service:nginx"),
        f"test $(readlink -f /etc/nginx/sites-enabled/zz-sample.conf) = {SITE}",
    ),
    Drift(
        "a link deleted",
        "rm /etc/nginx/sites-enabled/zz-sample.conf",
        ("files:nginx", "service:nginx"),
        f"test $(readlink -f /etc/nginx/sites-enabled/zz-sample.conf) = {SITE}",
    ),
    Drift(
        "a user who may log in",
        "usermod -s /bin/sh sample",
        ("user:sample",),
        "getent passwd sample | grep -q nologin",
    ),
    Drift(
        "nginx stopped and disabled",
        "systemctl disable -q --now nginx",
        ("service:nginx",),
        "systemctl is-active nginx && systemctl is-enabled nginx",
        serves=False,
    ),
    Drift(
        "the timer stopped and disabled",
        "systemctl disable -q --now certbot.timer",
        ("service:certbot.timer",),
        "systemctl is-active certbot.timer && systemctl is-enabled certbot.timer",
    ),
    Drift(
        "the git mirror deleted",
        "rm -rf /srv/sample/repository.git",
        ("mirror:/srv/sample/repository.git",),
        "git --git-dir=/srv/sample/repository.git rev-parse HEAD~0 --verify --quiet || "
        "git --git-dir=/srv/sample/repository.git for-each-ref --count=1",
    ),
    Drift(
        "the git mirror of another repository",
        "git --git-dir=/srv/sample/repository.git config remote.origin.url git://elsewhere.test/sample.git",
        ("mirror:/srv/sample/repository.git",),
        "! git --git-dir=/srv/sample/repository.git config remote.origin.url | grep elsewhere",
    ),
    Drift(
        "a file of pyenv modified",
        "echo modified >>/opt/pyenv/README.md",
        ("pyenv",),
        "git -C /opt/pyenv diff --quiet HEAD",
    ),
    Drift("uv removed", "rm -rf /opt/uv", ("uv",), "/opt/uv/*/bin/uv --version"),
    Drift(
        "the Python removed under the running app",
        "rm -rf /opt/pyenv/versions/*",
        ("python", "venv:sample", *RESTORED),
        "/srv/sample/current/.venv/bin/python -c 'import ssl, sqlite3, fastapi'",
    ),
    Drift(
        "a file of a library edited",
        "echo '# by hand' >>$(ls /srv/sample/current/.venv/lib/python3*/site-packages/fastapi/__init__.py)",
        ("venv:sample", *RESTORED),
        "! grep -q 'by hand' /srv/sample/current/.venv/lib/python3*/site-packages/fastapi/__init__.py",
    ),
    Drift(
        "a file of the release edited",
        "echo '# by hand' >>/srv/sample/current/sample_app/sample_app/main.py",
        ("release:sample", *RESTORED),
        "! grep -q 'by hand' /srv/sample/current/sample_app/sample_app/main.py",
    ),
    Drift(
        "a file of the release deleted and one added",
        "cd /srv/sample/current/sample_app && rm alembic.ini && touch sample_app/static/added.txt",
        ("release:sample", *RESTORED),
        "cd /srv/sample/current/sample_app && test -s alembic.ini && test ! -e sample_app/static/added.txt",
    ),
    Drift(
        "the default certificate removed",
        "rm -r /etc/ssl/provision/placeholder/default",
        ("placeholder:/etc/ssl/provision/default",),
        "openssl x509 -noout -in /etc/ssl/provision/default/fullchain.pem && nginx -t",
    ),
    Drift(
        "the certificate's link to a copy",
        f"cp -rL {LIVE} /root/copy && ln -sfn /root/copy {LIVE}",
        (f"certificate:{LIVE}", "service:nginx-certificates"),
        f"readlink {LIVE} | grep -x /etc/letsencrypt/live/sample",
    ),
    Drift(
        "all of certbot's state removed",
        "rm -rf /etc/letsencrypt; touch -d '61 minutes ago' /var/lib/provision/certificates/sample",
        (
            f"placeholder:{LIVE}",
            "directory:/etc/letsencrypt/renewal-hooks/deploy",
            "file:/etc/letsencrypt/renewal-hooks/deploy/nginx",
            f"certificate:{LIVE}",
            "service:nginx-certificates",
        ),
        "openssl x509 -noout -in /etc/letsencrypt/live/sample/fullchain.pem",
    ),
    Drift(
        "the marks of what was checked, migrated and loaded removed",
        "rm -r /var/lib/provision/apps /var/lib/provision/stamps",
        (
            "directory:/var/lib/provision/apps/sample",
            "owner:sample",
            "service:nginx",
            "service:nginx-certificates",
            "check:sample",
            "migration:sample",
            "paths:sample",
        ),
        "test -s /var/lib/provision/apps/sample/migrated",
    ),
    Drift(
        "the link to the live socket removed",
        "rm /run/sample/current.sock",
        (ACTIVATION,),
        "test -S /run/sample/current.sock",
        serves=False,
    ),
    Drift(
        "the link to the live socket removed while the other slot is live",
        "rm /run/sample/current.sock",
        (ACTIVATION,),
        "test -S /run/sample/current.sock",
        serves=False,
    ),
    Drift(
        "the live slot stopped",
        f"{SLOTS} systemctl stop sample@$active.socket sample@$active.service",
        (ACTIVATION,),
        f"{SLOTS} systemctl is-active sample@$active",
        serves=False,
    ),
    Drift(
        "the live slot disabled",
        f"{SLOTS} systemctl disable -q sample@$active.socket",
        (ACTIVATION,),
        f"{SLOTS} systemctl is-enabled sample@$active.socket && ! systemctl is-enabled sample@$idle.socket",
    ),
    Drift(
        "the live slot's environment edited",
        f"{SLOTS} echo BY=hand >>/etc/sample/$active/env",
        (ACTIVATION,),
        f"{SLOTS} cmp /etc/sample/$active/env /etc/sample/env",
    ),
    Drift(
        "the other slot would start at a boot, and the link to the active one leads to it",
        f"{SLOTS} systemctl enable -q sample@$idle.socket; ln -sfn $idle /etc/sample/current",
        ("paths:sample",),
        f"{SLOTS} ! systemctl -q is-enabled sample@$idle.socket && readlink /etc/sample/current | grep -x $active",
    ),
    Drift(
        "the other slot started",
        f"{SLOTS} systemctl start sample@$idle",
        (ACTIVATION,),
        f"{SLOTS} systemctl is-active sample@$active && ! systemctl is-active sample@$idle",
    ),
    Drift(
        "the unit edited and loaded",
        f"{SLOTS} echo '# by hand' >>{UNIT}; systemctl daemon-reload",
        (ACTIVATION,),
        f"{SLOTS} ! grep -q 'by hand' {UNIT} && ! systemctl show 'sample@*' -p NeedDaemonReload | grep yes",
    ),
    Drift(
        "current leads elsewhere",
        "ln -sfn releases/none /srv/sample/current",
        (ACTIVATION,),
        "test -e /srv/sample/current/.release",
    ),
)


@pytest.mark.parametrize("drift", sampled(DRIFTS, 5), ids=lambda drift: drift.name.replace(" ", "-"))
def test_what_a_hand_changed_is_all_that_is_planned_and_is_repaired(site: Site, drift: Drift) -> None:
    workers = set(shell(SERVER, WORKERS).split())
    shell(SERVER, drift.hand)
    between = status()
    planned = site.plan()
    deployed = site.deploy()
    after = site.plan()
    assert planned.status == 2
    assert named(planned.changed(SERVER)) == list(drift.names)
    assert named(deployed.changed(SERVER)) == list(drift.names)
    assert (after.status, after.changed(SERVER)) == (0, [])
    assert drift.serves in (None, between == "200")
    assert status() == "200"
    shell(SERVER, drift.repaired)
    reloads = any(name.startswith("service:nginx") for name in drift.names)
    assert bool(set(shell(SERVER, WORKERS).split()) - workers) == reloads


def test_the_diff_of_a_hand_edit_is_that_edit(site: Site) -> None:
    shell(SERVER, f"echo '# by hand' >>{SITE}")
    planned = {change["id"]: change["diff"] for change in site.plan().host(SERVER)["changes"]}
    lines = planned["files:nginx"].splitlines()
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-# by hand"]
    assert planned["service:nginx"] == ""
    site.deploy()


def test_a_secret_is_masked_in_the_plan_and_its_change_is_seen(site: Site) -> None:
    before = shell(SERVER, "grep ^SECRET_KEY= /etc/sample/env")
    shell(SERVER, "sed -i 's/^SECRET_KEY=.*/SECRET_KEY=\"another-value\"/' /etc/sample/env")
    planned = site.plan().stdout
    site.deploy()
    assert "SECRET_KEY=******** (changed)" in planned
    assert "another-value" not in planned
    assert before.partition("=")[2].strip('"') not in planned


def test_the_server_is_as_the_inventory_says_after_all_of_this(site: Site) -> None:
    assert_all_is_well(site)
