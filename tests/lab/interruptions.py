"""Activations that are killed, cut off and rebooted, under either process manager."""

import os
import time

import pytest

from provision import lab
from tests.lab import steps
from tests.lab.conftest import sampled, shell
from tests.lab.load import load
from tests.lab.probe_site import ADDRESS, DOMAIN, SERVER, Manager, Site

# Tests kill at one in so many steps of an activation; 1 means all of them.
EVERY = int(os.environ.get("PROVISION_EVERY_STEP", "60"))
STEPS: dict[Manager, int] = {}


class Interruptions:
    """Whatever ends an activation, a whole release serves afterwards. A test module has the site."""

    @pytest.mark.parametrize("stops", sampled([False, True]), ids=["serves without its link", "is stopped"])
    def test_a_site_that_was_taken_down_by_hand_is_brought_back_by_a_deploy(self, site: Site, stops: bool) -> None:
        name, commit = site.next()
        slot = site.slot()
        if stops:
            by = (
                f"supervisorctl stop probe-{slot}:*" if site.manager == "supervisor" else f"systemctl stop probe@{slot}"
            )
            shell(SERVER, by)
        shell(SERVER, "rm /run/probe/current.sock")
        assert site.serving() not in site.commits
        site.deploy("--revision", name)
        assert (site.serving(), site.running()) == (commit, [site.slot()])
        assert site("plan", "--revision", name).status == 0

    @steps.noted(SERVER)
    def test_whatever_is_killed_before_a_step_the_site_answers_and_the_next_deploy_ends_right(self, site: Site) -> None:
        """The script on the server or the controller, by SIGKILL, before one step of the activation after the other."""
        last = how_many_steps(site)
        for victim, first in (("script", 1 + EVERY * 2 // 3), ("controller", 1 + EVERY // 2)):
            with load(ADDRESS, DOMAIN, 1800) as seen:
                for number in range(first, last + 1, EVERY):
                    name, commit = site.next()
                    process, before = site.held_up(name, "activation:", number)
                    if victim == "script":
                        steps.end_the_script(SERVER)
                    else:
                        process.kill()
                        steps.go(SERVER)
                    process.communicate(timeout=60)
                    assert site.serving() in site.commits, before
                    wait_for_the_end()
                    after = site.deploy("--revision", name)
                    assert (site.serving(), site.running()) == (commit, [site.slot()]), before
                    assert site.left() == [], before
                    if victim == "controller":
                        assert after.changed(SERVER) == [], "the server finishes by itself"
            assert (seen.failed, seen.failures[:3]) == (0, []), victim
        assert site("plan", "--revision", name).status == 0

    @steps.noted(SERVER)
    def test_a_power_cut_before_a_step_leaves_a_whole_release_that_serves_by_itself_after_the_boot(
        self, site: Site
    ) -> None:
        for number in range(1 + EVERY // 3, how_many_steps(site) + 1, 2 * EVERY):
            name, commit = site.next()
            process, before = site.held_up(name, "activation:", number)
            lab.kill(SERVER)
            process.kill()
            process.communicate()
            lab.start(SERVER)
            site.wait(before)
            assert site.running() == [site.slot()], before
            site.deploy("--revision", name)
            assert (site.serving(), site.running()) == (commit, [site.slot()]), before
            assert site.left() == [], before

    @pytest.mark.long
    def test_a_reboot_in_an_activation_leaves_a_whole_release_that_serves_by_itself_after_the_boot(
        self, site: Site
    ) -> None:
        name, commit = site.next()
        process = site.controller.start("deploy", SERVER, "--revision", name)
        while site.serving() != commit:
            time.sleep(0.05)
        process.kill()
        process.communicate()
        lab.reboot(SERVER)
        site.wait("reboot")
        site.deploy("--revision", name)
        assert (site.serving(), site.running()) == (commit, [site.slot()])


def how_many_steps(site: Site) -> int:
    """How many steps an activation has, going either way, once both slots have been used."""
    if site.manager not in STEPS:
        site.deploy("--revision", site.next()[0])
        counts = set()
        for _ in site.commits:
            steps.arm(SERVER)
            site.deploy("--revision", site.next()[0])
            counts.add(len(steps.taken(SERVER, "activation:")))
        # On a slow machine, a release is asked more than once whether it is healthy: those are steps, too.
        assert min(counts) > 30
        STEPS[site.manager] = min(counts)
    return STEPS[site.manager]


def running() -> bool:
    """Whether a run holds the lock. After a boot there is no lock before the first run."""
    return lab.shell(SERVER, "test ! -e /run/provision/lock || flock -n -s /run/provision/lock true").returncode != 0


def wait_for_the_end() -> None:
    """Wait until the run on the server has ended; at most 60 s."""
    deadline = time.monotonic() + 60
    while running():
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(0.2)
