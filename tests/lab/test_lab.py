"""The lab itself. Tests use lab3 of the running lab; destructive ones run a lab of their own in a network namespace."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from provision import lab
from provision.lab import acme, folder, image, server, source
from provision.lab.server import Server
from tests.lab.conftest import sampled

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "lab3"


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[folder.Folder]:
    lab.up(3)
    yield folder.current()
    lab.reset(NAME)


def leaders(here: folder.Folder) -> dict[str, int | None]:
    return {one.name: server.leader(one) for one in server.servers(here)}


def inventory(here: folder.Folder) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(here.inventory.read_text())
    return content


def said(command: str) -> str:
    result = lab.shell(NAME, command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def test_up_leaves_what_is_up_alone(here: folder.Folder) -> None:
    before = leaders(here), here.known_hosts.read_text(), {f: f.read_text() for f in here.run.iterdir()}
    lab.up(3)
    assert before == (leaders(here), here.known_hosts.read_text(), {f: f.read_text() for f in here.run.iterdir()})


def test_up_boots_a_server_that_lost_power_and_its_disk_is_as_it_was(here: folder.Folder) -> None:
    said("echo kept > /root/kept && sync")
    others = {name: pid for name, pid in leaders(here).items() if name != NAME}
    lab.kill(NAME)
    assert server.leader(Server(here, NAME)) is None
    lab.up(3)
    assert said("cat /root/kept") == "kept"
    assert others == {name: pid for name, pid in leaders(here).items() if name != NAME}


def test_a_stop_is_orderly() -> None:
    unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\nExecStop=touch /root/stopped\n"
    said(f"printf %s {shlex.quote(unit)} > /etc/systemd/system/orderly.service && systemctl start orderly")
    lab.stop(NAME)
    lab.start(NAME)
    said("test -e /root/stopped")


def test_a_server_reboots_itself(here: folder.Folder) -> None:
    before, boot = server.leader(Server(here, NAME)), said("journalctl --list-boots | wc -l")
    lab.reboot(NAME)
    assert server.leader(Server(here, NAME)) not in (None, before)
    assert int(said("journalctl --list-boots | wc -l")) == int(boot) + 1


def test_a_reset_server_is_empty_and_has_another_host_key(here: folder.Folder) -> None:
    said("touch /root/old")
    before = here.known_hosts.read_text()
    lab.reset(NAME)
    said("test ! -e /root/old")
    changed = set(before.splitlines()) ^ set(here.known_hosts.read_text().splitlines())
    assert {line.split(",")[1] for line in changed} == {NAME}


def test_the_host_key_is_pinned_before_the_first_connection(
    here: folder.Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = here.known_hosts.read_text()
    lab.reset(NAME)
    assert lab.ssh(NAME, command="true") == 0
    elsewhere = folder.Folder(tmp_path)
    for path in (here.key, here.servers):
        (tmp_path / path.name).symlink_to(path)
    elsewhere.known_hosts.write_text(old)
    monkeypatch.setenv("PROVISION_LAB", str(tmp_path))
    assert lab.ssh(NAME, command="true") == 255


@pytest.mark.parametrize("user", server.USERS)
def test_the_key_opens_each_account(user: str) -> None:
    assert lab.ssh(NAME, user=user, command="true") == 0


def test_admin_is_root_without_a_password_and_ops_with_one(here: folder.Folder) -> None:
    assert said("su admin -c 'sudo -n id -u'") == "0"
    assert lab.shell(NAME, "su ops -c 'sudo -n id -u'").returncode != 0
    password = shlex.quote(here.ops_password.read_text().strip())
    assert said(f"echo {password} | su ops -c 'sudo -S -p \"\" id -u'") == "0"
    assert here.ops_password.stat().st_mode & 0o077 == 0


def test_a_server_is_bare() -> None:
    for tool in ("git", "nginx", "python3", "curl"):
        assert lab.shell(NAME, f"command -v {tool}").returncode != 0
    assert said("ls -A /var/lib/apt/lists") == ""


def test_servers_find_each_other_by_name() -> None:
    assert said("getent hosts app.lab1.test").split() == ["10.213.0.11", "app.lab1.test"]
    assert said("getent hosts lab2.test").split() == ["10.213.0.12", "lab2.test"]
    assert lab.shell(NAME, "getent hosts nobody.test").returncode == 2
    assert "0% packet loss" in said("ping -c 1 -W 2 lab1.test")


def test_a_server_reaches_the_package_mirror() -> None:
    assert "Reading package lists" in said("apt-get update")


def test_limits_of_units_hold() -> None:
    hungry = "head -c 200M /dev/zero | tail"
    limited = lab.shell(NAME, f"systemd-run --quiet --wait -p MemoryMax=50M -p MemorySwapMax=0 sh -c '{hungry}'")
    assert limited.returncode != 0


def test_the_acme_authority_answers_and_its_root_is_known(here: folder.Folder) -> None:
    tls = inventory(here)["tls"]
    context = ssl.create_default_context(cafile=str(here.path / tls["issuer_ca"]))
    with urllib.request.urlopen(tls["issuer"], timeout=5, context=context) as answer:
        assert "newOrder" in json.load(answer)
    root = (here.path / tls["root_ca"]).read_text()
    with urllib.request.urlopen(f"https://10.213.0.1:{acme.MANAGEMENT}/roots/0", timeout=5, context=context) as answer:
        assert answer.read().decode() == root
    ssl.create_default_context(cadata=root)


def test_a_repository_put_into_the_git_folder_is_a_remote_and_shows_each_commit(here: folder.Folder) -> None:
    repository = here.git / "test-lab.git"
    identity = ("-c", "user.name=lab", "-c", "user.email=lab@lab.test")
    commit = ("git", "-C", str(repository), *identity, "commit", "--quiet", "--allow-empty", "-m", "one more")
    listing = ("git", "ls-remote", "git://10.213.0.1/test-lab.git", "HEAD")
    try:
        subprocess.run(["git", "init", "--quiet", repository], check=True)
        heads = []
        for _ in range(2):
            subprocess.run(commit, check=True)
            heads.append(subprocess.run(listing, check=True, capture_output=True, text=True, timeout=10).stdout[:40])
        head = ("git", "-C", str(repository), "rev-parse", "HEAD")
        assert subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip() == heads[1] != heads[0]
    finally:
        subprocess.run(["rm", "-rf", repository], check=True)


def test_this_project_is_a_remote(here: folder.Folder) -> None:
    git = ("git", "-c", "safe.directory=*")
    head = subprocess.run(
        [*git, "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True, text=True, check=False
    )
    if head.returncode != 0:
        pytest.skip("this checkout has no commit")
    listing = ("git", "ls-remote", "git://10.213.0.1/provision.git", "HEAD")
    assert subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()[0] == head.stdout.strip()


def test_the_mirrors_hold_what_the_inventory_says(here: folder.Folder) -> None:
    mirrors = inventory(here).get("mirrors")
    if mirrors is None:
        pytest.skip("GitHub and python.org can be reached: no mirrors")
    listing = ("git", "ls-remote", mirrors["pyenv"], "HEAD")
    assert subprocess.run(listing, check=True, capture_output=True, text=True).stdout[:40] == mirrors["pyenv_revision"]
    wanted = source.checksum(here)
    with urllib.request.urlopen(f"{mirrors['python']}/{wanted}", timeout=30) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == wanted


def test_the_inventory_names_each_server(here: folder.Folder) -> None:
    content = inventory(here)
    for number in (1, 2, 3):
        assert content["hosts"][f"lab{number}"] == {"address": f"10.213.0.{10 + number}"}
    assert (here.path / content["key"]).stat().st_mode & 0o077 == 0
    assert (here.path / content["known_hosts"]).is_file()


def test_a_second_lab_is_refused_with_the_way_to_end_the_first(
    here: folder.Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_LAB", str(tmp_path / "other"))
    for task in (lab.up, lab.down):
        with pytest.raises(lab.LabError, match=f"from {re.escape(str(here.path))}.\nEnd it: cd .* && invoke lab.down"):
            task()
    assert None not in leaders(here).values()


def test_mistakes_are_told_in_a_line(here: folder.Folder) -> None:
    with pytest.raises(lab.LabError, match="No server 'lab20' in this lab; there are: lab1, lab2, lab3"):
        lab.reset("lab20")
    with pytest.raises(lab.LabError, match="A lab has 1 to 20 servers, not 21"):
        lab.up(21)
    with pytest.raises(lab.LabError, match="No suite 'buster'; there are: bullseye, bookworm, trixie"):
        lab.up(1, "buster")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(lab.machine.ENVIRONMENT, "PATH", str(tmp_path))
    with pytest.raises(lab.LabError, match=r"apt-get install dnsmasq-base .* pebble .*\nVagrant is the other way"):
        lab.down()


@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_other_releases_of_debian_boot(suite: str) -> None:
    lab.reset(NAME, suite)
    assert f"VERSION_CODENAME={suite}" in said("cat /etc/os-release")
    assert said("systemctl is-system-running") == "running"
    lab.reset(NAME, "bookworm")


# From here on, each test has a lab of its own, in namespaces that isolate it. Its network ends at its bridge.

NAMESPACES = ("unshare", "--net", "--mount", "--propagation", "private")

ALONE = """
mount -t tmpfs tmpfs /run
ip link set lo up
cd "$PROVISION_LAB/.."
exec "$@"
"""

COUNT = """
import atexit, json, os, signal, socket, subprocess
from pathlib import Path
from provision import lab
from provision.lab import cgroup, folder, image, network, process, server

here = folder.current()
atexit.register(cgroup.end)

def power_cut():
    for pid in cgroup.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

def traces():
    def lines(*words):
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\\n")
    return {
        "links": sorted(name for _, name in socket.if_nameindex()),
        "addresses": [line for line in lines("ip", "-o", "address") if "10.213" in line],
        "routes": [line for line in lines("ip", "route") if "10.213" in line],
        "tables": [line for line in lines("nft", "list", "tables") if "provision" in line],
        "mounts": [line for line in lines("cat", "/proc/self/mounts") if str(here.path) in line],
        "processes": [p.name for p in Path("/proc").glob("[0-9]*") if str(here.path).encode() in words(p)],
        "groups": [str(h / cgroup.top()) for h in cgroup.hierarchies() if (h / cgroup.top()).exists()],
        "forward": network.FORWARD.read_text(),
        "files": [str(path) for path in (here.path, network.OWNER) if path.exists()],
        "nspawn": [str(path) for path in Path("/run/systemd/nspawn").glob("*/*")],
    }

def words(process):
    try:
        return b"" if "Z (" in (process / "status").read_text() else (process / "cmdline").read_bytes()
    except OSError:
        return b""

"""


def alone(path: Path, script: str, unified: bool = False) -> Any:
    """Run a script in namespaces of its own, and return the JSON document that it prints last."""
    (path / "lab").mkdir(exist_ok=True)
    (path / "lab").rmdir()
    only = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup\n" if unified else ""
    result = subprocess.run(
        [*NAMESPACES, "sh", "-euc", only + ALONE, "sh", sys.executable, "-c", COUNT + script],
        env=os.environ | {"PROVISION_LAB": str(path / "lab"), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_down_leaves_nothing(tmp_path: Path) -> None:
    before, after = alone(
        tmp_path,
        """
before = traces()
lab.up(2)
assert all(traces()[kind] for kind in ("addresses", "routes", "tables", "processes", "groups", "files")), traces()
lab.shell("lab2", "sleep 1000 >/dev/null 2>&1 & head -c 50M /dev/urandom > /root/large")
lab.down()
print(json.dumps([before, traces()]))
""",
    )
    assert before == after


@pytest.mark.parametrize("bridge", [True, False])
def test_forwarding_ends_with_the_lab_unless_another_bridge_needs_it(bridge: bool, tmp_path: Path) -> None:
    other = 'subprocess.run(["ip", "link", "add", "other0", "type", "bridge"], check=True)' if bridge else ""
    forwards = alone(
        tmp_path,
        f"""
network.FORWARD.write_text("0\\n")
lab.up(1)
{other}
lab.down()
print(json.dumps(traces()["forward"].strip()))
""",
    )
    assert forwards == str(int(bridge))


def test_a_killed_predecessor_is_survived(tmp_path: Path) -> None:
    suite = image.place("bookworm")
    half = suite.with_name(f".{suite.name}")
    answer = alone(
        tmp_path,
        f"""
lab.up(2)
disk = lab.shell("lab1", "echo kept > /root/kept; cat /etc/machine-id").stdout
power_cut()
subprocess.run(["mount", "-t", "tmpfs", "stale", here.servers / "lab1/root"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "stale", here.servers / "lab2/root"], check=True)
subprocess.run(["ip", "link", "add", "vb-lab1", "type", "dummy"], check=False)
Path({str(half)!r}).mkdir()
(here.run / "dns.json").write_text('{{"pid": 1, "started": 1}}')
(here.run / "git.json").write_text('{{"pid"')
lab.up(2)
same = lab.shell("lab1", "cat /root/kept /etc/machine-id").stdout == "kept\\n" + disk
state = [line.state for line in (*lab.status().servers, *lab.status().services)]
half = Path({str(half)!r}).exists()
power_cut()
lab.down()
print(json.dumps([same, state, half, traces()]))
""",
    )
    same, state, half_left, left = answer
    assert same
    assert set(state) == {"running"}
    assert not half_left
    assert left["links"] == ["lo"]
    assert not any(left[kind] for kind in ("addresses", "routes", "mounts", "processes", "groups", "files"))


@pytest.mark.parametrize("suffix", sampled(["", "-2"]))
def test_a_lab_whose_folder_was_deleted_can_be_replaced_and_ended(suffix: str, tmp_path: Path) -> None:
    left = alone(
        tmp_path,
        f"""
import shutil
lab.up(1)
shutil.rmtree(here.path, ignore_errors=True)
os.environ["PROVISION_LAB"] = str(here.path) + {suffix!r}
here = folder.current()
lab.up(1)
lab.shell("lab1", "true").check_returncode()
lab.down()
print(json.dumps(traces()))
""",
    )
    assert left["links"] == ["lo"]
    assert not any(left[kind] for kind in ("addresses", "routes", "mounts", "processes", "groups", "files"))


def test_the_lab_works_on_a_machine_with_cgroup_v2_alone(tmp_path: Path) -> None:
    states = alone(
        tmp_path,
        """
lab.up(2)
lab.reboot("lab2")
print(json.dumps([lab.shell(f"lab{n}", "systemctl is-system-running").stdout.strip() for n in (1, 2)]))
lab.down()
""",
        unified=True,
    )
    assert states == ["running", "running"]
