"""On a server that others live on: what stands in the way is named before anything is changed, and goes on as before."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from provision import lab
from tests.lab.conftest import shell
from tests.lab.refusals import ADDRESS, APP, SERVER, Declared, refused, tree

pytest_plugins = ("tests.lab.refusals",)

INSTALL = "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq -y install --no-install-recommends"


def answers(name: str) -> str:
    """What the server says to a request for a name over HTTP, from this machine."""
    return lab.shell(SERVER, f"curl -s -H 'Host: {name}' http://{ADDRESS}/").stdout


@contextmanager
def as_before() -> Iterator[None]:
    """Nothing on the server is another afterwards."""
    before = tree()
    yield
    after = tree()
    differs = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not differs, {path: (before.get(path), after.get(path)) for path in sorted(differs)[:20]}


@pytest.mark.parametrize(
    ("makes", "removes", "named"),
    [
        (
            f"useradd -m -u 1500 -G sudo -s /bin/bash {APP}",
            f"userdel -r {APP}",
            f"the user {APP} (uid 1500, home /home/{APP})",
        ),
        (f"groupadd {APP}", f"groupdel {APP}", f"the group {APP}"),
        (f"mkdir /srv/{APP}; echo mine >/srv/{APP}/file", f"rm -r /srv/{APP}", f"/srv/{APP}"),
        (f"mkdir /etc/{APP}; echo mine >/etc/{APP}/env", f"rm -r /etc/{APP}", f"/etc/{APP}"),
    ],
    ids=["a user in sudo", "a group", "a folder of data", "a folder of settings"],
)
def test_what_has_the_apps_name_already_is_not_taken_over(bare: Declared, makes: str, removes: str, named: str) -> None:
    shell(SERVER, makes)
    try:
        with as_before():
            error = refused(bare()("deploy", SERVER, "--json"))
        assert error.startswith(f"{APP}: the server has {named}, and they are not this toolkit's: give the app another")
    finally:
        shell(SERVER, removes)


def test_an_app_cannot_have_the_name_of_the_user_who_logs_in(bare: Declared) -> None:
    path = bare().inventory
    controller = bare().with_text(path.read_text().replace(f"  {APP}:", "  admin:"), "admin")
    with as_before():
        error = refused(controller("deploy", SERVER, "--json"))
    assert error.startswith("admin: the server has the user admin (uid "), error
    assert shell(SERVER, "getent passwd admin | cut -d: -f7").strip() == "/bin/bash"


@pytest.fixture
def apache(bare: Declared) -> Iterator[None]:
    """Debian's own Apache, with its own page."""
    shell(SERVER, f"{INSTALL} apache2 curl")
    yield
    shell(
        SERVER, "apt-get -qq -y purge apache2 apache2-bin apache2-data apache2-utils; rm -rf /var/www/html /etc/apache2"
    )


def test_who_has_port_80_is_named_and_stays(bare: Declared, apache: None) -> None:
    page = answers("anything")
    assert "Apache2" in page
    with as_before():
        error = refused(bare()("deploy", SERVER, "--json"))
    assert error.startswith("port 80 is held by apache2 (process "), error
    assert "systemctl disable --now apache2.service" in error
    assert answers("anything") == page
    assert lab.shell(SERVER, "test -e /lib/systemd/system/nginx.service").returncode


@contextmanager
def start_up(text: str) -> Iterator[None]:
    """The login's shell reads this first."""
    shell(
        SERVER,
        f"cd /home/admin && cp .bashrc .bashrc.kept && {{ printf '%s\\n' '{text}'; cat .bashrc.kept; }} >.bashrc",
    )
    try:
        yield
    finally:
        shell(SERVER, "cd /home/admin && mv .bashrc.kept .bashrc")


def test_a_shell_that_ends_before_anything_runs_is_an_error_of_every_task(bare: Declared) -> None:
    controller = bare()
    said = "the shell of admin ended before it ran anything (exit status 3; it said: not today): no file that it reads"
    with start_up("echo not today; exit 3"):
        for task, *options in (("plan", "--json"), ("deploy", "--json"), ("status", "--json"), ("releases", "--json")):
            answer = controller(task, SERVER, *options)
            assert (answer.status, said in answer.host(SERVER)["error"]) == (1, True), answer.stdout
        for task, *options in (("run", "--", "touch", "/tmp/ran"), ("maintenance.on",), ("logs",)):
            answer = controller(task, SERVER, *options)
            assert (answer.status, said in answer.stdout + answer.stderr) == (1, True), answer.stdout + answer.stderr
            assert "Traceback" not in answer.stderr
    assert lab.shell(SERVER, "test -e /tmp/ran").returncode


@pytest.fixture
def lived_in(bare: Declared) -> Iterator[None]:
    """A server with the distribution's nginx, a time zone, a locale, a shell that greets, and an sshd without SFTP that allows one
    session at a time.
    """
    shell(
        SERVER,
        f"{INSTALL} nginx; "
        "ln -sfn /usr/share/zoneinfo/Europe/Paris /etc/localtime; echo Europe/Paris >/etc/timezone;"
        " echo LANG=C >/etc/default/locale; sed -i 's/^Subsystem/#&/' /etc/ssh/sshd_config;"
        " echo MaxSessions 1 >/etc/ssh/sshd_config.d/one.conf; systemctl reload ssh",
    )
    with start_up('echo welcome; echo end; printf "no end of line"; echo to the other side >&2'):
        yield
    shell(
        SERVER,
        "rm /etc/ssh/sshd_config.d/one.conf; sed -i 's/^#Subsystem/Subsystem/' /etc/ssh/sshd_config; systemctl reload ssh",
    )


def test_a_server_that_is_lived_in_is_deployed_to_and_keeps_its_ways(bare: Declared, lived_in: None) -> None:
    """The distribution's nginx, as it comes, is no obstacle: its site goes, its configuration stays. A packed Python is sent."""
    assert shell(SERVER, "ls /etc/nginx/sites-enabled") == "default"
    answer = bare().deploy(SERVER)
    changed = answer.changed(SERVER)
    assert shell(SERVER, "ls /etc/nginx/sites-enabled").split() == ["000-default.conf", f"zz-{APP}.conf"]
    assert shell(SERVER, "dpkg --verify nginx-common | grep /etc/nginx || true") == ""
    assert "python:3.13.5" in changed
    assert not [each for each in changed if "timezone" in each or "localtime" in each or "locale" in each]
    assert shell(SERVER, "readlink /etc/localtime; cat /etc/timezone /etc/default/locale").split() == [
        "/usr/share/zoneinfo/Europe/Paris",
        "Europe/Paris",
        "LANG=C",
    ]
    assert bare().plan(SERVER).status == 0
    ran = bare()("run", SERVER, "--", "echo", "hello")
    assert (ran.status, "hello" in ran.stdout, "welcome" in ran.stdout) == (0, True, False), ran.stdout + ran.stderr
    assert bare()("status", SERVER).status == 0


def test_a_run_that_had_begun_finds_its_record_and_not_somebody_elses_things(bare: Declared) -> None:
    shell(SERVER, f"systemctl stop '{APP}@*'; userdel {APP}; userdel {APP}-build")
    assert bare().deploy(SERVER).status == 0
