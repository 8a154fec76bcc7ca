"""What has an app's name and is somebody else's is the app's where its inventory says so, and theirs again when the app goes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from provision import lab
from tests.lab import steps
from tests.lab.conftest import Controller, sampled, shell
from tests.lab.neighbours import INSTALL, ask
from tests.lab.refusals import APP, DOMAIN, SERVER, Declared, refused
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

ADOPT = ["user", "folders", "nginx"]
SITE = f"/etc/nginx/sites-enabled/{APP}.example"
FOLDERS = f"/srv/{APP} /etc/{APP} /etc/tmpfiles.d/{APP}.conf"
# A user with a home, data and settings, of whom /etc/APP has what the app would have, too; and a site with the app's domain.
THEIRS = f"""
groupadd -r docker
useradd -m -u 1500 -s /bin/bash -G docker,users {APP}
mkdir -m 2750 /srv/{APP} && echo mine >/srv/{APP}/file && ln -s file /srv/{APP}/link && touch -d @1000000000 /srv/{APP}/file
chown -R {APP}:users /srv/{APP}
mkdir -m 755 /etc/{APP} && echo A=theirs >/etc/{APP}/env && chmod 600 /etc/{APP}/env
echo 'd /run/{APP}-old' >/etc/tmpfiles.d/{APP}.conf
cat >/etc/nginx/sites-available/{APP}.example <<'END'
server {{ listen 80; server_name {DOMAIN}; return 200 "theirs\\n"; }}
END
ln -s ../sites-available/{APP}.example {SITE}
nginx -t && systemctl reload-or-restart nginx && sleep 1
"""
# Before the record of the user is there, between two folders, and before and after the site is taken out of nginx.
KILLED = ((f"adopted:{APP}/user", 2), (f"adopted:{APP}/folders", 3), ("files:nginx", 15), ("files:nginx", 6))


def theirs() -> str:
    """All of what is somebody else's on the server, as it is."""
    return shell(
        SERVER,
        f"getent passwd {APP}; getent group {APP} docker users; grep ^{APP}: /etc/shadow /etc/gshadow /etc/subuid; "
        f"find {FOLDERS} /home/{APP} {SITE} -printf '%p %y %m %U:%G %s %T@ %l\\n'; find {FOLDERS} -type f -exec md5sum {{}} +; "
        f"ls -d /srv/* /etc/{APP}* /etc/tmpfiles.d/{APP}*; ls /etc/nginx/sites-* | grep -v default",
    )


@pytest.fixture(scope="module")
def lived_in(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Declared]:
    """A server with a site of somebody else's, and a user and folders of the app's name."""
    lab.reset(SERVER, used=True)
    shell(SERVER, f"{INSTALL} nginx curl; {THEIRS}")
    yield Declared(tmp_path_factory.mktemp("inventory"), repository)
    lab.reset(SERVER, used=True)


def adopting(declared: Declared, *words: str) -> Controller:
    """An inventory that adopts what these words say."""
    return declared({"python": "system", "adopt": list(words)})


@contextmanager
def with_change(makes: str, undoes: str) -> Iterator[None]:
    """Something on the server is different for a while, and nothing else changes."""
    shell(SERVER, makes)
    before = theirs()
    try:
        yield
        assert theirs() == before
    finally:
        shell(SERVER, undoes)


def test_what_could_be_adopted_is_refused_with_the_word_for_it(lived_in: Declared) -> None:
    with with_change("true", "true"):
        said = refused(adopting(lived_in)("deploy", SERVER, "--json"))
        assert said == (
            f"{APP}: {DOMAIN} is served by {SITE}, which this toolkit did not write: take the name out of that file, or out of the "
            "inventory, or say adopt: [nginx] for the app"
        )
        said = refused(adopting(lived_in, "nginx")("deploy", SERVER, "--json"))
        assert said == (
            f"{APP}: the server has the user {APP} (uid 1500, home /home/{APP}), /srv/{APP}, /etc/{APP}, /etc/tmpfiles.d/{APP}.conf, "
            "and they are not this toolkit's: give the app another name, or remove them if nobody needs them, or say adopt: [nginx, "
            "user, folders] for the app"
        )
        said = refused(adopting(lived_in, "nginx", "user")("deploy", SERVER, "--json"))
        assert said.startswith(f"{APP}: the server has /srv/{APP}, /etc/{APP}, "), said
        assert said.endswith(", or say adopt: [nginx, user, folders] for the app"), said


NEVER = {
    "a sudoer": (f"usermod -aG sudo {APP}", f"gpasswd -d {APP} sudo", "it may use sudo"),
    "a sudoer by a rule": (
        f"echo '{APP} ALL=(root) NOPASSWD: /bin/true' >/etc/sudoers.d/{APP}",
        f"rm /etc/sudoers.d/{APP}",
        "it may use sudo",
    ),
    "one with a password": (
        f"echo {APP}:secret | chpasswd",
        f"usermod -p '!' {APP}",
        "it has a password to log in with",
    ),
    "one with keys": (
        f"mkdir /home/{APP}/.ssh; echo key >/home/{APP}/.ssh/authorized_keys",
        f"rm -r /home/{APP}/.ssh",
        f"it has keys to log in with (/home/{APP}/.ssh/authorized_keys)",
    ),
    "one that runs something": (
        f"systemd-run -q --unit=theirs --uid={APP} sleep 1000; sleep 0.2",
        "systemctl stop theirs",
        "it runs sleep (process ",
    ),
    "one whose group others are in": (
        f"gpasswd -a admin {APP}",
        f"gpasswd -d admin {APP}",
        "its group has other members (admin)",
    ),
    "one of the system": (f"usermod -u 900 {APP}", f"usermod -u 1500 {APP}", "it is a user of the system"),
}


@pytest.mark.parametrize("case", sampled(list(NEVER)))
def test_who_is_more_than_an_apps_user_is_never_adopted(lived_in: Declared, case: str) -> None:
    makes, undoes, why = NEVER[case]
    with with_change(makes, undoes):
        said = refused(adopting(lived_in, *ADOPT)("deploy", SERVER, "--json"))
        assert said.startswith(f"{APP}: the user {APP} (uid "), said
        assert f"cannot be adopted, as {why}" in said, said


def test_no_word_is_said_for_what_is_never_adopted(lived_in: Declared) -> None:
    makes, undoes, _ = NEVER["a sudoer"]
    with with_change(makes, undoes):
        said = refused(adopting(lived_in, "nginx")("deploy", SERVER, "--json"))
        assert said.endswith("or remove them if nobody needs them"), said


def test_the_user_who_logs_in_is_never_adopted(lived_in: Declared) -> None:
    path = adopting(lived_in, *ADOPT).inventory
    controller = Controller(path).with_text(path.read_text().replace(f"  {APP}:", "  admin:"), "admin")
    said = refused(controller("deploy", SERVER, "--json"))
    assert said.startswith("admin: the user admin (uid "), said
    assert "cannot be adopted, as the inventory logs in as it" in said, said


def test_what_nginx_refuses_is_put_back_with_the_site_that_was_to_be_adopted(lived_in: Declared) -> None:
    """The app's own files stay: the deploy goes on with them."""
    before = theirs()
    mine = f"upstream provision_{APP} {{ server 127.0.0.1:9; }}"
    shell(SERVER, f"echo '{mine}' >/etc/nginx/conf.d/mine.conf")
    assert "put back as they were, all of them" in refused(adopting(lived_in, *ADOPT)("deploy", SERVER, "--json"))
    shell(SERVER, "rm /etc/nginx/conf.d/mine.conf; nginx -t -q")
    assert ask(DOMAIN, secure=False).text == "theirs\n"
    assert adopting(lived_in)("remove", SERVER, "--app", APP, "--yes").status == 0
    assert theirs() == before


@steps.noted(SERVER)
def test_what_the_inventory_names_is_adopted_though_the_run_is_killed(lived_in: Declared) -> None:
    before = theirs()
    own = adopting(lived_in, *ADOPT)
    summaries = [each["summary"] for each in own.plan(SERVER).host(SERVER)["changes"]]
    said = [each for each in summaries if "adopts" in each]
    assert said[0] == (
        f"{APP}: adopts the user {APP} (uid 1500, home /home/{APP}), who leaves the groups docker, users until the app is removed"
    )
    assert said[1].startswith(
        f"{APP}: adopts /srv/{APP}, moved to /srv/{APP}.before-provision until the app is removed; /etc/"
    )
    assert f"{APP}: adopts {SITE}, kept until the app is removed" in said[2]
    assert len(said) == 3
    reached = []
    for change, number in KILLED:
        steps.arm(SERVER, change, number)
        process = own.start("provision", SERVER, "--json")
        reached.append(steps.wait(SERVER))
        steps.end_the_script(SERVER)
        process.communicate(timeout=60)
    steps.arm(SERVER)
    assert [step.endswith(f" {SITE}") for step in reached] == [False, False, True, False], reached
    own.deploy(SERVER)
    again = own.deploy(SERVER).host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)
    assert lab.shell(SERVER, f"getent passwd {APP}").stdout == (
        f"{APP}:x:1500:1500::/srv/{APP}/shared:/usr/sbin/nologin\n"
    )
    assert shell(SERVER, f"id -nG {APP}; cat /srv/{APP}.before-provision/link") == f"{APP}\nmine"
    assert ask(DOMAIN, secure=False).status == 301
    shell(SERVER, f"curl -sfk --resolve {DOMAIN}:443:127.0.0.1 https://{DOMAIN}/health")
    # Data keeps what it is in, and whose it is.
    shell(SERVER, f"install -o {APP} /dev/null /srv/{APP}/shared/data")
    assert own("remove", SERVER, "--app", APP, "--yes").status == 0
    assert ask(DOMAIN, secure=False).text == "theirs\n"
    assert shell(SERVER, f"stat -c %U /srv/{APP}/shared/data; cat /srv/{APP}.before-provision/file") == f"{APP}\nmine"
    removed = own("remove", SERVER, "--app", APP, "--with-data", APP, "--yes", "--json")
    assert removed.host(SERVER)["changes"][-1]["summary"] == (
        f"{APP}: put back the user {APP}, /srv/{APP}, /etc/{APP}, /etc/tmpfiles.d/{APP}.conf as they were"
    )
    assert theirs() == before
    assert own("remove", SERVER, "--app", APP, "--yes", "--json").changed(SERVER) == []
    assert shell(SERVER, "ls /var/lib/provision/adopted /var/lib/provision/apps 2>/dev/null || true").split() in (
        [],
        ["/var/lib/provision/apps:"],
    )
