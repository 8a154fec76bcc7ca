"""An app gets another domain, and then another name: nothing is switched before what it needs is there, and no request is lost."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from provision.lab import acme
from tests.lab import steps
from tests.lab.conftest import SECONDS, Controller, https, shell
from tests.lab.load import load, post
from tests.lab.refusals import lab_values, refused
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab1")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
# A campaign kills before each step.
EVERY = int(os.environ.get("PROVISION_EVERY_STEP", "0"))
OLD, NEW, MORE = (f"{name}.{SERVER}.test" for name in ("before", "after", "more"))
MAIN = """\
from pathlib import Path
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/commit")
@app.post("/commit")
def commit() -> str:
    return "hello"


@app.get("/health")
@app.get("/")
def health() -> str:
    return os.environ["PROVISION_RELEASE"]
"""


@dataclass(frozen=True)
class Site:
    """The server with one app, under one name and domain or another."""

    folder: Path
    url: str

    def inventory(self, domain: str, name: str = "mover", **changes: Any) -> Controller:
        """The inventory with the app for this domain."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        values = {"source": self.url, "module": "main:app", "python": "system", "workers": 1, "health": "/health"}
        content["apps"] = {name: {**values, "domains": [domain], **changes}}
        path = self.folder / "moving.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return Controller(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server, reset, with the app for its first domain."""
    made = Repository.create(f"moving-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    lab.reset(SERVER, used=True)
    found = Site(tmp_path_factory.mktemp("inventory"), made.url)
    found.inventory(OLD).deploy(SERVER)
    yield found
    made.remove()


def answers(domain: str) -> bool:
    """Whether the app answers under this name, whatever the certificate."""
    return "20" in https(SERVER, "/health", domain, "-k").stdout


@pytest.mark.long
def test_a_domain_is_changed_once_there_is_a_certificate_for_the_new_one(site: Site) -> None:
    cut = f"ipproto tcp dport {acme.PORT} unreachable"
    before = shell(SERVER, "cat /etc/nginx/sites-enabled/zz-mover.conf")
    with load(ADDRESS, OLD, 300) as seen:
        shell(SERVER, f"ip rule add {cut}")
        try:
            error = refused(site.inventory(NEW)("deploy", SERVER, "--json"))
            assert error == f"mover: {acme.DIRECTORY} gave no certificate; its reason stands above"
            assert not answers(NEW)
            assert shell(SERVER, "cat /etc/nginx/sites-enabled/zz-mover.conf") == before
            again = site.inventory(NEW)("deploy", SERVER, "--json")
            assert refused(again) == error
            assert not answers(NEW)
            shell(SERVER, "systemctl reload nginx; sleep 1")
            assert https(SERVER, "/health", OLD).returncode == 0
            assert site.inventory(OLD).plan(SERVER).changed(SERVER) == ["files:nginx", "service:nginx"]
        finally:
            shell(SERVER, f"ip rule del {cut}")
    assert (seen.lost(reloads=2), len(seen.answers) > 50) == ([], True)
    answer = site.inventory(NEW).deploy(SERVER).host(SERVER)
    assert [one["id"] for one in answer["changes"]] == [
        "certificate:/etc/ssl/provision/mover",
        "files:nginx",
        "service:nginx",
    ]
    assert https(SERVER, "/health", NEW).stdout == https(SERVER, "/", NEW).stdout
    assert answers(NEW)
    assert not answers(OLD)
    planned = site.inventory(NEW).plan(SERVER).host(SERVER)
    assert (planned["changed"], planned["execs"]) == (0, 2)
    left = "ls -A /etc/ssl/provision/before; find /etc/nginx/ -name '*answers*'; ls -A /var/lib/provision/before"
    assert shell(SERVER, left) == ""
    # One name more, at the first try.
    site.inventory(NEW, domains=[NEW, MORE]).deploy(SERVER)
    assert (answers(NEW), answers(MORE), shell(SERVER, left)) == (True, True, "")
    assert site.inventory(NEW, domains=[NEW, MORE]).plan(SERVER).host(SERVER)["changed"] == 0
    site.inventory(NEW).deploy(SERVER)


WORKS: dict[str, Any] = {
    "processes": {"worker": "sh -c 'while sleep 0.05; do id -un >>$HOME/worker; done'"},
    "schedules": {"tidy": {"at": "*:*:0/1", "run": "sh -c 'id -un >>$HOME/tidy'"}},
}
# Where an app's name may be; certbot's files keep theirs.
PLACES = (
    "find /etc /srv /run /var/lib/provision /var/cache/provision /var/lib/systemd /var/spool/cron -xdev -path /etc/letsencrypt -prune -o"
    " '(' -name 'mover*' -o -name '*-mover*' -o -name '*@mover*' ')' -print; getent passwd mover mover-build; getent group mover mover-build;"
    " systemctl list-units --all --plain --no-legend 'mover*'; grep -rl mover /etc/nginx /etc/systemd /etc/tmpfiles.d"
)


def left(app: str) -> str:
    """What the server has of an app's name."""
    return shell(SERVER, f"{PLACES.replace('mover', app)} || true")


def turns(name: str, app: str = "renamed") -> list[str]:
    """As whom the lines of a file in the app's shared folder were written, each run of equal ones once."""
    lines = shell(SERVER, f"cat /srv/{app}/shared/{name}").splitlines()
    return [who for who, _ in itertools.groupby(lines)]


def test_an_app_goes_on_under_another_name_with_its_data_and_loses_no_request(site: Site) -> None:
    site.inventory(NEW, **WORKS).deploy(SERVER)
    shell(
        SERVER,
        "cd /srv/mover/shared && install -d -m 700 -o mover -g mover kept && echo of mover >kept/file && chown mover kept/file"
        " && echo of root >root && ln -s /etc/passwd link && ln /etc/hosts second && install -g mover /dev/null given",
    )
    refusal = refused(site.inventory(NEW, "renamed", **WORKS)("deploy", SERVER, "--json"))
    assert "if it is the same app under a new name, write renamed_from: mover; if it is to go" in refusal
    renamed = site.inventory(NEW, "renamed", renamed_from="mover", **WORKS)
    summaries = [one["summary"] for one in renamed.plan(SERVER).host(SERVER)["changes"]]
    (takes,) = (one for one in summaries if "takes over" in one)
    assert takes.startswith("renamed: takes over from mover, with its data: activate ")
    ill = site.inventory(NEW, "renamed", renamed_from="mover", health={"path": "/nowhere", "timeout": 2}, **WORKS)
    error = refused(ill("deploy", SERVER, "--json"))
    assert "was not healthy within 2s (/nowhere answered 404)" in error
    assert https(SERVER, "/health", NEW).returncode == 0
    assert shell(
        SERVER,
        "stat -c %U /srv/mover/shared /srv/mover/shared/kept/file; systemctl is-active mover-worker mover-tidy.timer",
    ).split() == [*("mover", "mover", "active", "active")]
    with load(ADDRESS, NEW, 300) as seen, post(ADDRESS, NEW, 300, keep=False) as bad:
        renamed = site.inventory(NEW, "renamed", renamed_from="mover", **WORKS)
        renamed.deploy(SERVER)
    assert (seen.lost(), bad, len(seen.answers) > 50) == ([], [], True)
    print(f"{seen.requests} requests, the slowest took {max(took for _, took in seen.latencies):.2f} s")
    planned = renamed.plan(SERVER).host(SERVER)
    assert (planned["changed"], planned["execs"], planned["notes"]) == (0, 2, [])
    assert left("mover") == ""
    shell(SERVER, "sleep 1.5")
    assert (turns("worker"), turns("tidy")) == (["mover", "renamed"], ["mover", "renamed"])
    assert shell(
        SERVER,
        "cd /srv/renamed/shared && cat kept/file && stat -c '%U:%G' . kept kept/file root second given && stat -c %U /etc/passwd",
    ).split() == [
        *(
            "of",
            "mover",
            "renamed:renamed",
            "renamed:renamed",
            "renamed:root",
            "root:root",
            "root:root",
            "root:renamed",
            "root",
        )
    ]


@pytest.mark.long
def test_an_app_of_supervisor_does_so_too_and_changes_its_process_manager_with_its_name(site: Site) -> None:
    """Each change is an ordinary deploy: the same app under Supervisor, under another name there, and back under systemd."""
    works = {**WORKS, "process_manager": "supervisor", "schedules": {"tidy": {"at": "*:*", "run": "id"}}}
    site.inventory(NEW, "renamed", **works).deploy(SERVER)
    ill = site.inventory(NEW, "talker", renamed_from="renamed", health={"path": "/nowhere", "timeout": 2}, **works)
    assert "was not healthy within 2s" in refused(ill("deploy", SERVER, "--json"))
    assert https(SERVER, "/health", NEW).returncode == 0
    runs = "supervisorctl status | awk '{ print $1, $2 }'; ls /etc/cron.d; stat -c %U /srv/*/shared/kept/file"
    found = shell(SERVER, runs)
    assert "renamed-worker RUNNING" in found, found
    assert ("renamed-tidy" in found, "talker-tidy" in found, found.split()[-1]) == (True, False, "renamed"), found
    for old, new, changes in (("renamed", "talker", works), ("talker", "renamed", WORKS)):
        with load(ADDRESS, NEW, 300) as seen, post(ADDRESS, NEW, 300, keep=False) as bad:
            controller = site.inventory(NEW, new, renamed_from=old, **changes)
            controller.deploy(SERVER)
        assert (seen.lost(), bad, len(seen.answers) > 50) == ([], [], True), new
        print(f"{seen.requests} requests, the slowest took {max(took for _, took in seen.latencies):.2f} s")
        planned = controller.plan(SERVER).host(SERVER)
        assert (planned["changed"], planned["execs"], left(old)) == (0, 2, ""), new
        assert shell(SERVER, f"cd /srv/{new}/shared && cat kept/file && stat -c %U kept/file").split()[-1] == new
        assert turns("worker", new)[-2:] == [old, new]
    assert (
        shell(
            SERVER,
            "supervisorctl status; ls /etc/supervisor/conf.d; ls /etc/cron.d | grep -e renamed -e talker || true",
        )
        == ""
    )


@steps.noted(SERVER)
@pytest.mark.long
def test_a_takeover_that_is_killed_is_carried_on_by_the_next_deploy(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SECONDS", 300)
    names = itertools.cycle(("thirdname", "renamed"))
    old, new = "renamed", next(names)
    steps.arm(SERVER)
    site.inventory(NEW, new, renamed_from=old, **WORKS).deploy(SERVER)
    order = steps.taken(SERVER, "activation:")
    (moved,) = (number for number, step in enumerate(order, 1) if step.startswith(f"mv -T /srv/{old}/shared "))
    every = range(1, len(steps.taken(SERVER, "")), EVERY) if EVERY else ()
    for change, number in (("activation:", moved + 1), *(("", number) for number in every)):
        old, new = new, next(names)
        controller = site.inventory(NEW, new, renamed_from=old, **WORKS)
        steps.arm(SERVER, change, number)
        process = controller.start("deploy", SERVER)
        before = steps.wait(SERVER)
        steps.end_the_script(SERVER)
        process.communicate(timeout=SECONDS)
        steps.arm(SERVER)
        controller.deploy(SERVER)
        assert https(SERVER, "/health", NEW).returncode == 0, before
        planned = controller.plan(SERVER).host(SERVER)
        assert (planned["changed"], left(old)) == (0, ""), before
        assert shell(SERVER, f"cat /srv/{new}/shared/kept/file; stat -c %U /srv/{new}/shared/kept/file").split() == [
            "of",
            "mover",
            new,
        ], before
