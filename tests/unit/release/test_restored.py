from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import apply, facts
from provision.engine.layout import TOOLKIT
from provision.engine.resource import Change, Finding, Ref, State
from provision.errors import ProbeError
from provision.release import restored, uninstall
from provision.release.facts import KNOWN
from provision.release.restored import PARTS, Restored
from provision.resources import package, service
from provision.resources.nginx import NGINX, Listen, Nginx, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.release.serving import Observe
    from tests.unit.tables import MakeFacts, MakeHost

    Call = Callable[..., subprocess.CompletedProcess[str]]

STATE = "var/lib/provision"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def found(root: Path) -> Path:
    """The record of what there was."""
    folder = root / STATE / "found"
    folder.mkdir(parents=True)
    return folder


def dpkg(
    stand_in: Callable[[str, str], Path], packages: str, refused: str = "", owned: str = "", manual: str = ""
) -> None:
    """A server with these packages (STATE NAME, a line each), of which dpkg says this when they are to go."""
    stand_in("dpkg-query", f"printf '%s' '{packages}' | sed 's/^\\(.\\) /i\\1 /'")
    stand_in("dpkg", f"case $1 in --no-act) {refused or ':'} ;; -S) {owned or 'exit 1'} ;; esac")
    stand_in("apt-mark", f"printf '%s\\n' {manual}")


def test_all_apps_leave_before_the_toolkit_does(make_host: MakeHost, make_known: MakeFacts) -> None:
    known = make_known()
    site = Server("/etc/nginx/conf.d/other.conf", False, True, (Listen("*:80"),), frozenset())
    seen = known.facts.with_(KNOWN, ("shop", "talk")).with_(NGINX, Nginx(present=True, reads=True, servers=(site,)))
    resources = roles.left(make_host(), seen, known.wanted)
    refs = [str(one.ref) for one in resources]
    assert refs == [
        "backups:none",
        "backups:shared-none",
        *(f"uninstalled:{app}/{part}" for app in ("shop", "talk") for part in uninstall.PARTS),
        *(f"restored:{part}" for part in PARTS),
    ]
    assert refs[-1] == "restored:record"
    assert resources[-1].probe().item == ("record", site.file, "shop talk", "no")


@pytest.mark.parametrize(
    ("part", "records", "summary", "script"),
    [
        ("site", [{"thing": "/a"}, {"thing": "/b", "back": "yes"}], "nginx: remove /a; put back /b as it was", "restored_site"),
        ("authority", [{"thing": "/a"}, {"thing": "/b"}], "trust 2 of mirrors.ca_bundle no longer", "restored_authority"),
        ("settings", [{"thing": "/etc/localtime", "back": "yes"}], "put back /etc/localtime as it was", "restored_settings"),
        ("packages", [{"thing": "git"}, {"thing": "group:crontab"}, {"thing": "liba:amd64", "needed": "yes"}], "remove the packages that came with this toolkit: git, group crontab and 1 more that they brought", "restored_packages git group:crontab liba:amd64"),
        ("record", [{"thing": "/var/lib/provision"}], "forget this server: remove /var/lib/provision", "restored_record"),
    ],
)  # fmt: skip
def test_a_part_says_what_goes_and_what_comes_back(
    part: str, records: list[dict[str, str]], summary: str, script: str
) -> None:
    change = Restored(part).plan(State.of(*records), {})
    assert change is not None
    assert (change.summary, change.script, change.phase) == (summary, script, "finish")


def test_a_server_that_was_never_touched_has_nothing_to_give_back() -> None:
    assert [Restored(part).plan(State(), {}) for part in PARTS] == [None] * len(PARTS)


def test_the_record_that_the_removal_itself_makes_goes_with_it() -> None:
    earlier = {Ref("uninstalled", "shop/data"): Change(Ref("uninstalled", "shop/data"), "", "")}
    change = Restored("record").plan(State(), earlier)
    assert change is not None
    assert change.summary == f"forget this server: remove {TOOLKIT.state}"


def test_what_stays_is_a_warning() -> None:
    (found,) = Restored("packages").findings(State.of({"stays": "git: other needs it"}, {"thing": "curl"}), {})
    assert found == Finding("packages", "warn", "stays: git: other needs it")


def test_a_server_that_names_things_that_no_server_has_is_not_believed() -> None:
    with pytest.raises((ProbeError, ValueError)):
        Restored("packages").plan(State.of({"thing": "git; reboot"}), {})


def test_apps_are_known_by_their_record_or_by_who_owns_their_data(
    root: Path, sh: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (root / STATE / "apps/shop").mkdir(parents=True)
    write(
        root / "etc/passwd",
        "shop:x:997:997::/srv/shop/shared:/usr/sbin/nologin\n"
        "old:x:996:996::/srv/old/shared:/usr/sbin/nologin\n"
        "mine:x:1000:1000::/srv/mine/shared:/usr/sbin/nologin\n"
        "other:x:995:995::/srv/other/shared:/bin/sh\n",
    )
    ran = sh(facts.script([KNOWN]))
    assert ran.stdout == "known\tapp=shop\nknown\tapp=old\nend\nend\n", ran.stderr


def test_the_record_begins_with_the_first_run_only(root: Path, call: Call) -> None:
    assert call([apply], "found_begin").returncode == 0
    assert (root / STATE / "found").is_dir()
    (root / STATE / "found").rmdir()
    assert call([apply], "found_begin").returncode == 0
    assert not (root / STATE / "found").exists()
    assert call([apply], f"found_keep settings {root}/a; found_folder {root}/b").returncode == 0
    assert not (root / STATE / "found").exists()


def test_what_was_there_first_comes_back(root: Path, found: Path, call: Call) -> None:
    link, file, absent = root / "etc/localtime", write(root / "etc/timezone", "one"), root / "etc/locale"
    link.symlink_to("/one")
    keep = "".join(f"found_keep settings {path}; " for path in (link, file, absent))
    assert call([apply], keep).returncode == 0
    for text in ("two", "three"):
        link.unlink()
        link.symlink_to(f"/{text}")
        file.write_text(text)
        absent.write_text(text)
        assert call([apply], keep).returncode == 0
    ran = call([restored, apply], "restored_replaced settings; restored_settings; restored_replaced settings")
    assert ran.stdout == "".join(f"thing={path}\tback=yes\n" for path in (link, file, absent)), ran.stderr
    assert (str(link.readlink()), file.read_text(), absent.exists()) == ("/one", "one", False)


def test_folders_that_were_made_go_if_they_are_empty(
    root: Path, found: Path, call: Call, stand_in: Callable[[str, str], Path]
) -> None:
    stand_in("systemctl", "exit 0")
    made = root / "one/two/three"
    assert call([apply], f"found_folder {made}").returncode == 0
    made.mkdir(parents=True)
    write(root / "one/theirs")
    assert call([restored, apply], "restored_record").returncode == 0
    assert [path.name for path in (root / "one").iterdir()] == ["theirs"]
    assert not (root / STATE).exists()


def test_what_comes_with_a_package_is_noted_also_if_the_run_was_killed(
    root: Path, found: Path, call: Call, stand_in: Callable[[str, str], Path]
) -> None:
    stand_in("getent", "echo $1-one:")
    dpkg(stand_in, "i curl\nc nginx\n")
    assert call([apply, package], "package_before nginx git").returncode == 0
    dpkg(stand_in, "i curl\ni nginx\ni git\ni liberror-perl:amd64\n")
    assert call([apply, package], "package_note; package_note").returncode == 0
    assert (found / "packages").read_text().splitlines() == [
        "git asked new",
        "liberror-perl:amd64 needed new",
        "nginx asked rest",
    ]
    assert not (found / "before").exists()


PACKAGES = (
    "git asked new\nlibgit:amd64 needed new\nnginx asked new\ncurl asked new\nrest asked rest\nwanted needed new\n"
)
THERE = "i git\ni libgit:amd64\ni nginx\ni curl\nc rest\ni wanted\ni other\n"
REFUSED = """case "$*" in *libgit*curl*) printf '%s\\n' \\
    'dpkg: dependency problems prevent removal of libgit:amd64:' ' other depends on libgit.' '' \\
    'dpkg: error processing package libgit:amd64 (--purge):' ' dependency problems - not removing' ;; *curl*) printf '%s\\n' \\
    'dpkg: error processing package curl (--purge):' ' this is an essential package; it should not be removed' ;; esac"""


def test_packages_stay_that_somebody_else_has_come_to_use(
    found: Path, observe: Observe, stand_in: Callable[[str, str], Path]
) -> None:
    write(found / "packages", PACKAGES)
    dpkg(stand_in, THERE, REFUSED, manual="wanted other")
    stand_in("find", "exit 0")
    (state,) = observe(Restored("packages", (), "/etc/nginx/conf.d/other.conf"))
    assert state.all("thing") == ("git",)
    assert state.all("stays") == (
        "nginx: it serves /etc/nginx/conf.d/other.conf",
        "curl: this is an essential package; it should not be removed",
        "wanted: somebody asked apt for it since",
    )


def test_without_a_record_packages_stay_and_the_plan_says_so(root: Path, observe: Observe) -> None:
    (state,) = observe(Restored("packages"))
    assert not state
    (root / STATE).mkdir(parents=True)
    (state,) = observe(Restored("packages"))
    assert state.all("thing") == ()
    assert state["stays"].startswith("packages and settings: the first deploy to this server made no record")


def test_a_service_that_did_not_run_is_stopped_again(
    root: Path, found: Path, call: Call, observe: Observe, stand_in: Callable[[str, str], Path]
) -> None:
    stand_in(
        "systemctl",
        f"echo \"$*\" >>'{root}/calls'; case $1 in is-enabled) echo disabled ;; is-active) echo inactive ;; esac",
    )
    assert call([apply, service], "service_remember supervisor; service_remember supervisor").returncode == 0
    assert (found / "units").read_text() == "supervisor disabled inactive\n"
    stand_in("dpkg", "echo supervisor: /lib/systemd/system/supervisor.service")
    (state,) = observe(Restored("units"))
    assert state.all("thing") == ("supervisor",)
    (root / "calls").unlink()
    assert call([restored, apply], "restored_units supervisor").returncode == 0
    assert (root / "calls").read_text() == "disable --quiet supervisor\nstop supervisor\n"
    write(found / "packages", "supervisor asked new\n")
    (state,) = observe(Restored("units"))
    assert not state


def test_a_program_with_a_forged_name_takes_nothing_along(
    root: Path, found: Path, call: Call, observe: Observe, stand_in: Callable[[str, str], Path]
) -> None:
    """Of whatever user, it may be called like a whole record, as the folders that it is in may have any name."""
    dpkg(stand_in, "i cron\n", owned='echo "cron: $2"')
    write(found / "packages", "cron asked new\n")
    write(root / "opt/pyenv/.revision")
    below = f"opt/pyenv/versions/x/y root P\tthing={root}/etc\n"
    programs = [root / f"evil\n{root}/{below}/sleep", root / f"evil\n/usr/sbin/cron root P\tthing={root}/etc\n/sleep"]
    write(root / "etc/kept")
    processes = []
    for program in programs:
        program.parent.mkdir(parents=True)
        shutil.copy("/bin/sleep", program)
        processes.append(subprocess.Popen((program, "30")))
    try:
        for part in ("python", "packages"):
            (state,) = observe(Restored(part))
            assert [each for each in state.all("thing") if "etc" in each] == [], part
            assert "P" not in "".join(state.all("stays")).split(), part
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("names", ["/etc", "/opt/pyenv/../etc", "/var/tmp/provision-x/../../etc"])
def test_only_what_the_toolkit_made_of_python_is_removed(names: str, root: Path, call: Call) -> None:
    write(root / "etc/kept")
    write(root / "opt/pyenv/versions/x")
    assert call([restored], f"restored_python /opt/pyenv {names}").returncode == 0
    assert (root / "etc/kept").exists()
    assert not (root / "opt/pyenv").exists()


def test_only_a_user_who_came_with_a_package_goes(
    found: Path, call: Call, stand_in: Callable[[str, str], Path]
) -> None:
    dpkg(stand_in, "i git\n")
    stand_in("getent", "echo $2:")
    for program in ("userdel", "groupdel"):
        stand_in(program, f'echo "{program} $*"')
    write(found / "principals", "user redis redis-server\n")
    ran = call([restored], "restored_packages user:redis user:root group:shadow user:redi.")
    assert [line for line in ran.stdout.splitlines() if "del " in line] == ["userdel redis"], ran.stderr


def test_no_name_in_a_folder_that_is_everybodys_makes_anything_else_go(
    root: Path, call: Call, observe: Observe, tmp_path: Path
) -> None:
    """A file's name may hold a newline, and what comes after that names something in the folder where root happens to be."""
    for name in ("provision-x\n.ssh", "provision-tool.ab\ncd", "provision-notes", "provision-tool.abc123"):
        write(root / "var/tmp" / name)
    home = tmp_path / "home"
    write(home / ".ssh/authorized_keys", "mine")
    (state,) = observe(Restored("python"), cwd=home)
    change = Restored("python").plan(state, {})
    assert change
    assert change.script == "restored_python /var/tmp/provision-tool.abc123"
    ran = call([restored], f"cd {home}; restored_python .ssh /var/tmp/provision-notes /var/tmp/provision-tool.abc123")
    assert ran.returncode == 0, ran.stderr
    assert (home / ".ssh/authorized_keys").read_text() == "mine"
    assert len([*(root / "var/tmp").iterdir()]) == 3
