"""A build that attacks the server, beside another app: nothing of anybody else's is read, reached or changed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import lab
from tests.lab import hostile
from tests.lab.conftest import LAB, SUITE, Controller, https, shell
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
# The server without what any deploy of the app changes: its own places, what the toolkit and the system write down.
CHANGING = (
    "/srv/hostile /etc/hostile /run/hostile /var/cache/provision/build-hostile /var/lib/provision /run/provision /run/systemd"
    " /var/log /run/log /run/user /var/lib/systemd /var/lib/private /run/udev /root/victim-list /var/tmp /tmp"
)
LISTING = (
    "find / /run /dev/shm -xdev \\( "
    + " -o ".join(f"-path {path}" for path in CHANGING.split())
    + " \\) -prune -o -printf '%p %y %u:%g %m %l\\n' | sort;"
    " find /etc /home /root /srv/victim /var/spool /usr/local /opt -xdev -path /etc/hostile -prune -o -type f -exec sha256sum {} + | sort -k 2"
)
FIFO = "the build left something that is neither file, folder nor link: lib/fifo?error: forged"


class Attacked:
    """Two apps on a server that was reset; `listings` has it before and after the build that attacks."""

    def __init__(self, folder: Path) -> None:
        self.repositories = {name: Repository.create(f"{name}-{SERVER}", folder / name) for name in hostile.APPS}
        self.repositories["victim"].commit(hostile.VICTIM)
        self.commit(hostile.WELL_BEHAVED)
        sites = (hostile.SITE.format(name=name, url=one.url) for name, one in self.repositories.items())
        path = folder / "attacked.yml"
        path.write_text(f"include: {LAB}/lab.yml\napps:{''.join(sites)}")
        lab.reset(SERVER, SUITE, used=True)
        self.controller = Controller(path)
        self.controller.deploy(SERVER)
        shell(SERVER, "touch /root/victim; echo word >/srv/victim/shared/word; echo word >/srv/hostile/shared/word")
        before = self.listing()
        self.commit(hostile.ATTACKS)
        self.answer = self.controller.deploy(SERVER)
        self.listings = before, self.listing()

    def commit(self, files: dict[str, str]) -> None:
        """Put these files into the hostile app's repository, in place of its others."""
        self.repositories["hostile"].commit(files)

    def listing(self) -> list[str]:
        """Type, owner, mode and link of what is on the server, and a hash of what matters."""
        return [
            line
            for line in shell(SERVER, LISTING).splitlines()
            if "/etc/systemd/system/" not in line or "hostile" not in line
        ]

    def report(self) -> dict[str, list[str]]:
        """What the build found."""
        found: dict[str, list[str]] = json.loads(
            shell(
                SERVER, "cat $(readlink -f /srv/hostile/current/.venv)/lib/python3*/site-packages/hostile_report.json"
            )
        )
        return found


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    site = Attacked(tmp_path_factory.mktemp("attacked"))
    yield site
    for one in site.repositories.values():
        one.remove()


def test_a_build_reads_reaches_and_changes_nothing_of_anybody_elses(attacked: Attacked) -> None:
    report = attacked.report()
    builder = int(shell(SERVER, "id -u hostile-build"))
    assert report == {"reads": [], "writes": [], "connects": [], "sees": [], "user": builder, "processes": []}


def test_the_server_is_as_it_was_apart_from_the_new_release(attacked: Attacked) -> None:
    before, after = attacked.listings
    assert set(before) ^ set(after) == set()


def test_no_process_outlives_its_build(attacked: Attacked) -> None:
    assert shell(SERVER, "pgrep -a -u hostile-build || pgrep -af [h]ostile-daemon || true") == ""
    assert (
        shell(SERVER, "systemctl list-units --all --plain --no-legend 'provision-build-*'; ls -A /srv/hostile/build")
        == ""
    )


def test_what_was_built_is_roots_whatever_the_build_made_of_it(attacked: Attacked) -> None:
    venv = shell(SERVER, "readlink -f /srv/hostile/current/.venv")
    assert shell(SERVER, f"find {venv} ! -user root -o ! -type l -perm /7022 -o ! -type l -links +1 ! -type d") == ""
    assert shell(SERVER, f"stat -c '%U:%G %a' {venv}; cat {venv}/.complete | wc -l").split() == [
        "root:hostile",
        "750",
        "2",
    ]


def test_an_app_can_read_no_other_apps_code(attacked: Attacked) -> None:
    tries = (
        "cat /srv/victim/current/main.py /srv/victim/releases/*/main.py /srv/victim/venvs/*/pyvenv.cfg /etc/victim/env"
    )
    for user, group in (("hostile", "hostile"), ("hostile-build", "hostile-build"), ("nobody", "nogroup")):
        said = shell(SERVER, f"setpriv --reuid={user} --regid={group} --clear-groups sh -c '{tries}' 2>&1 || true")
        assert not any(word in said for word in ("FastAPI", "word", "home")), said


def test_a_build_that_leaves_a_fifo_is_refused_with_one_line(attacked: Attacked) -> None:
    attacked.commit({**hostile.ATTACKS, "FIFO": ""})
    refused = attacked.controller("deploy", SERVER, "--json")
    assert (refused.status, FIFO in refused.host(SERVER)["error"]) == (1, True), refused.stdout
    assert shell(SERVER, "ls -A /srv/hostile/build; pgrep -a -u hostile-build || true") == ""


def test_static_files_are_served_and_a_link_that_leads_out_of_the_commit_is_refused(attacked: Attacked) -> None:
    domain = f"hostile.{SERVER}.test"
    assert https(SERVER, "/files/site.txt", domain).stdout == "a static file\n"
    assert https(SERVER, "/files/.well-known/site.txt", domain).stdout == "known\n"
    for path in ("/files/.env", "/files/%2eenv", "/files//.env", "/files/.well-known/../.env"):
        assert "SECRET" not in https(SERVER, path, domain, "--path-as-is").stdout, path
    link = attacked.repositories["hostile"].folder / "public/leak"
    link.symlink_to("/etc/passwd")
    attacked.commit(hostile.WELL_BEHAVED)
    refused = attacked.controller("deploy", SERVER, "--json")
    link.unlink()
    assert "public/leak is a link that leads out of the commit" in refused.host(SERVER)["error"], refused.stdout
    assert https(SERVER, "/files/site.txt", domain).stdout == "a static file\n"
    assert "root:" not in https(SERVER, "/files/leak", domain).stdout


@pytest.mark.parametrize("name", [".release", ".venv"])
def test_a_link_in_the_place_of_the_servers_own_is_refused_before_anything_is_changed(
    name: str, attacked: Attacked
) -> None:
    link = attacked.repositories["hostile"].folder / name
    link.symlink_to("/root/victim")
    attacked.commit(hostile.WELL_BEHAVED)
    refused = attacked.controller("deploy", SERVER, "--json")
    link.unlink()
    assert f"the commit has a {name} at its top" in refused.host(SERVER)["error"], refused.stdout
    assert shell(SERVER, "cat /root/victim") == ""
