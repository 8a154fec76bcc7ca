"""From `vagrant up` to a served app, and what comes after. The tests build on one another, in this order."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from provision import lab, roles
from provision.controller import vagrant
from provision.controller.ssh import Session
from provision.engine import facts
from provision.engine.facts import SYSTEM, Facts
from provision.errors import ConnectionLost, Unreachable
from provision.inventory import Host, load
from provision.lab import folder
from provision.release.choice import release_id
from provision.resources.git import Mirror
from provision.roles.wanted import Wanted
from tests.vagrant.conftest import MACHINES, Project, step

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab1")
REBOOT_SECONDS = 600
Site = Callable[..., list[str]]


def test_the_line_that_a_deploy_prints_shows_the_site(vm: Project, site: Site) -> None:
    assert all("<html" in page for page in site())


def test_there_is_nothing_to_change_after_a_deploy(vm: Project) -> None:
    with step("plan: nothing to change"):
        plan = vm.invoke("plan", "--json")
    changes = {name: host["changes"] for name, host in json.loads(plan.stdout)["hosts"].items()}
    assert (plan.returncode, changes) == (0, {name: [] for name in MACHINES})


def test_vagrant_is_not_asked_twice(vm: Project) -> None:
    answer = vm.folder / ".vagrant/provision/ssh-config.json"
    before = answer.stat().st_mtime_ns
    assert vm.invoke("releases").returncode == 0
    assert answer.stat().st_mtime_ns == before


def test_a_second_commit_is_served_after_a_second_deploy(vm: Project, site: Site) -> None:
    commit = vm.commit(**{"sample_app/static/second.txt": "the second commit\n"})
    with step("a deploy of a second commit"):
        vm.deploy()
    assert set(site("static/second.txt")) == {"the second commit\n"}
    active = {
        name: [one["commit"][:7] for one in said["releases"] if one["state"] == "active"]
        for name, said in vm.documents("releases").items()
    }
    assert active == {name: [commit] for name in MACHINES}


def test_the_server_is_as_the_inventory_says(vm: Project) -> None:
    verify(vm, "verify")


def test_after_a_reboot_the_same_release_serves_by_itself(vm: Project, site: Site) -> None:
    serving, boot = standing(vm), boot_id(vm)
    with step("reboot, until the site answers"):
        session = Session(located(vm))
        session.run("systemctl reboot")
        session.close()
        deadline = time.monotonic() + REBOOT_SECONDS
        while boot_id(vm) in {boot, ""} or not all(site("health")):
            assert time.monotonic() < deadline, "the site does not come back"
            time.sleep(1)
    assert standing(vm) == serving
    assert set(site("static/second.txt")) == {"the second commit\n"}
    verify(vm, "verify after the reboot")


def test_only_the_inventory_makes_a_vm_and_a_lab_server_differ(vm: Project, tmp_path: Path) -> None:
    """Two bare servers whose inventories differ only in how they are reached should have the same resources."""
    mine = not folder.current().run.is_dir()
    try:
        if not any(one.name == SERVER and one.state == "running" for one in lab.status().servers):
            lab.up()
        here = folder.current()
        text = vm.inventory.with_name("vagrant.yml").read_text()
        access = f"connect: ssh\nuser: admin\nkey: {here.key}\nknown_hosts: {here.known_hosts}\n"
        address = load(here.inventory, {}).hosts[SERVER].address
        path = tmp_path / "lab.yml"
        path.write_text(f"{text}{access}hosts: {{vm1: {{address: {address}}}}}\n")
        hosts = (located(vm), load(path, {}).hosts["vm1"])
        seen = [bare(host) for host in hosts]
    finally:
        if mine:
            lab.down()
    assert seen[0][SYSTEM].memory != seen[1][SYSTEM].memory
    same = seen[1].with_(SYSTEM, replace(seen[1][SYSTEM], now=seen[0][SYSTEM].now))
    wanted = [
        roles.everything(host, known, fresh(host, known)) for host, known in zip(hosts, (seen[0], same), strict=True)
    ]
    # Commits are sent through the login's home folder, which belongs to the connection.
    same_home = [[replace(one, home="") if isinstance(one, Mirror) else one for one in each] for each in wanted]
    assert same_home[0] == same_home[1]
    assert len(wanted[0]) > 30


def test_a_machine_that_is_made_anew_is_trusted_without_a_question(vm: Project) -> None:
    name = MACHINES[-1]
    before = vm.pinned(name)
    with step("vagrant destroy and up again"):
        vm.vagrant("destroy", "--force", name)
        vm.vagrant("up", name)
    with step("a plan for the machine made anew"):
        plan = vm.invoke("plan", "--json")
    changes = json.loads(plan.stdout)["hosts"][name]["changes"]
    assert (plan.returncode, plan.stderr) == (2, "")
    assert len(changes) > 30, "it is bare"
    assert len(before) == len(vm.pinned(name)) == 1
    assert before != vm.pinned(name)


def bare(host: Host) -> Facts:
    """A server's facts, without what it has got already."""
    session = Session(host)
    known = facts.parse(session.run(facts.script(roles.FACTS)).stdout, roles.FACTS)
    session.close()
    return Facts({fact: known[fact] if fact is SYSTEM else fact.parse(()) for fact in roles.FACTS})


def fresh(host: Host, known: Facts) -> Wanted:
    """A first deploy of a commit to the host."""
    commits = dict.fromkeys(host.apps, "0123456789abcdef0123456789abcdef01234567")
    ids = {name: release_id(host.apps[name], known, commit) for name, commit in commits.items()}
    return Wanted(commits=commits, releases=ids)


def located(vm: Project) -> Host:
    """The first machine, with the address and key that Vagrant names."""
    os.environ.update(
        {name: value for name, value in vm.environ.items() if name.startswith(("VAGRANT_", "PROVISION_"))}
    )
    found = load(vm.inventory)
    return vagrant.located([found.hosts["vm1"]], vm.inventory)[0]


def boot_id(vm: Project) -> str:
    """The id of the current boot; "" without SSH: a machine that shuts down still serves when it lets no one in."""
    session = Session(located(vm))
    try:
        return session.run("cat /proc/sys/kernel/random/boot_id").stdout
    except (Unreachable, ConnectionLost):
        return ""
    finally:
        session.close()


def standing(vm: Project) -> dict[str, list[tuple[str, str]]]:
    """Each machine's active release and its slot."""
    return {
        name: [(one["release"], one["slot"]) for one in said["status"]] for name, said in vm.documents("status").items()
    }


def verify(vm: Project, name: str) -> None:
    """`verify` must find nothing wrong."""
    with step(name):
        done = vm.invoke("verify", "--disruptive", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
