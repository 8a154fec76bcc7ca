"""A taken-over release that does not want to be replaced, under either process manager."""

import time

import pytest

from tests.lab import probe_app
from tests.lab.conftest import shell
from tests.lab.probe_site import SERVER, Site

DAEMON = "pgrep -u probe -f 'python -m [r]esist' || true"


class Resisting:
    """It goes in the end. A test module has the site."""

    def test_a_release_that_kills_its_successor_is_stopped_first(self, site: Site) -> None:
        """Under Supervisor, an ordinary deploy fails; with --stop-first the old release has gone before its successor starts."""
        taken_over = site.repository.commit(probe_app.files("resist kill", note="resist kill"), "resist")
        site.deploy("--revision", "resist")
        assert shell(SERVER, DAEMON)
        name, commit = "one", site.commits[0]
        if site.manager == "supervisor":
            assert site.controller("deploy", SERVER, "--revision", name, "--json").status == 1
            assert site.serving() == taken_over
        answer = site.deploy("--revision", name, "--stop-first")
        assert "the old release is stopped first" in str(answer.host(SERVER)["changes"])
        assert (site.serving(), shell(SERVER, DAEMON), site.left()) == (commit, "", [])
        assert site.running() == [site.slot()]
        assert site.controller.plan(SERVER, "--revision", name).status == 0

    @pytest.mark.long
    def test_a_release_cannot_put_off_its_end(self, site: Site) -> None:
        """An ordinary deploy ends it, within the time that the app's own limit allows. In systemd's sandbox it does not see its
        successor's processes, so it cannot look for them to kill them.
        """
        breaks = "resist kill" if site.manager == "systemd" else "resist"
        site.repository.commit(probe_app.files(breaks, note=f"{breaks} again"), "resist")
        site.deploy("--revision", "resist")
        assert shell(SERVER, DAEMON)
        begun = time.monotonic()
        site.deploy("--revision", "one")
        assert time.monotonic() - begun < 60
        assert site.running() == [site.slot()]
        if site.manager == "systemd":
            assert shell(SERVER, DAEMON) == "", "its control group has ended with it"
