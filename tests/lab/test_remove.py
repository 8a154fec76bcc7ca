"""An app is taken off a server: nothing of it is left, its data stays unless it is to go, and the app beside it loses no request."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab import steps
from tests.lab.conftest import Answer, Controller, on_a_terminal, shell
from tests.lab.load import load
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
ADDRESS = f"10.213.0.{10 + int(SERVER.removeprefix('lab'))}"
STAYS, SHOP, TALK = "stays", "shop", "talk"
DOMAIN = f"{STAYS}.{SERVER}.test"
MAIN = """\
from pathlib import Path
import os

from fastapi import FastAPI

app = FastAPI()
(Path(os.environ["HOME"]) / "data").write_text("of the app")


@app.get("/commit")
@app.get("/health")
@app.get("/")
def greeting() -> str:
    return "hello"
"""
# What a server has that a deploy or its removal may change: files with their owners, units, processes, crontabs.
LISTING = (
    "cd /; find /etc /srv /opt /usr/local /root /home /var/lib /var/cache /var/log /var/spool /var/www /run -xdev"
    " '(' -path /var/lib/apt -o -path /var/cache/apt -o -path '/run/systemd/*' -o -path '/run/log' -o -path /run/udev"
    " -o -path '/var/log/journal' -o -path /var/lib/systemd -o -path /run/user -o -path /run/sudo -o -path /var/lib/sudo ')' -prune"
    " -o -printf '%p\\t%y %m %U:%G %l\\n';"
    " getent passwd; getent group; ls /var/lib/systemd/timers /etc/systemd/system/*.wants;"
    " systemctl list-units --all --plain --no-legend 'shop*' 'talk*' '*-shop*' '*-talk*' | cut -d' ' -f1"
)
# Root's own notes of runs, and what is written whenever somebody logs in or a package is asked for.
NOTES = re.compile(
    r"/(var/lib/provision/(history\.jsonl|generation|reserve)|run/provision|var/log/(wtmp|btmp|lastlog|letsencrypt)"
    r"|var/lib/letsencrypt|etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/letsencrypt/(csr|keys)/)|lock|\.pid\b"
)


def listing() -> set[str]:
    """What the server has, a line each."""
    return {line for line in lab.shell(SERVER, LISTING).stdout.splitlines() if not NOTES.search(line)}


@dataclass(frozen=True)
class Site:
    """The server with one app that stays. `before` is what it had then."""

    folder: Path
    url: str
    before: set[str]

    def inventory(self, *apps: str) -> Controller:
        """The inventory with these apps beside the one that stays."""
        content = lab_values()
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        content["apps"] = {name: declared(name, self.url) for name in (STAYS, *apps)}
        path = self.folder / f"{'-'.join(('apps', *apps))}.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return Controller(path)

    def remove(self, app: str, *options: str) -> Answer:
        """A removal of an app that the inventory has no more."""
        return self.inventory()("remove", SERVER, "--app", app, *options)


def declared(name: str, url: str) -> dict[str, Any]:
    """An app as an inventory has it: all but the one that stays have a process and a schedule."""
    values: dict[str, Any] = {
        "source": url,
        "module": "main:app",
        "python": "system",
        "workers": 1,
        "health": "/health",
        "domains": [f"{name}.{{host}}.test"],
    }
    if name != STAYS:
        values["processes"] = {"worker": "sleep 1000"}
        values["schedules"] = {"tidy": {"at": "03:00", "run": "true"}}
    return values | ({"process_manager": "supervisor"} if name == TALK else {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server, reset, with the app that stays."""
    made = Repository.create(f"remove-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    folder = tmp_path_factory.mktemp("inventory")
    lab.reset(SERVER, used=True)
    first = Site(folder, made.url, set())
    first.inventory().deploy(SERVER)
    # Supervisor and cron stay when the last app that they run has gone.
    shell(SERVER, "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends supervisor cron")
    yield Site(folder, made.url, listing())
    made.remove()


def assert_as_before(site: Site, *but: str) -> None:
    """The server has what it had, except for these lines."""
    after = listing()
    assert sorted(after - site.before) == sorted(but)
    assert sorted(site.before - after) == []
    assert site.inventory().plan(SERVER).status == 0


def test_an_app_is_removed_and_its_neighbour_loses_no_request(site: Site) -> None:
    site.inventory(SHOP).deploy(SERVER)
    assert site.inventory(SHOP).plan(SERVER).status == 0
    planned = site.remove(SHOP, "--plan", "--json").host(SERVER)
    summaries = [change["summary"] for change in planned["changes"]]
    notes = site.inventory().plan(SERVER).host(SERVER)["notes"]
    assert notes[-1].endswith(f"still run: invoke remove --host {SERVER} --app {SHOP} removes it")
    assert summaries[0].startswith("shop: take its site off nginx (/etc/nginx/sites-enabled/zz-shop.conf, ")
    assert {"shop-worker.service", "shop-tidy.timer"} <= set(re.findall(r"[\w.@-]+", summaries[1]))
    with load(ADDRESS, DOMAIN, 120) as seen:
        removed = site.remove(SHOP, "--yes", "--json")
    assert removed.status == 0, removed.stdout
    assert [change["summary"] for change in removed.host(SERVER)["changes"]] == summaries
    assert removed.host(SERVER)["notes"][-1] == (
        "shop: /srv/shop/shared stays, and its owner, the user shop: --with-data shop removes both"
    )
    assert f", of the inventory apps-{SHOP} since 2" in summaries[-1]
    assert (seen.lost(), seen.requests > 20) == ([], True)
    owner = shell(SERVER, "getent passwd shop; getent group shop; stat -c '%u:%g' /srv/shop/shared").splitlines()
    ids = owner.pop()
    assert shell(SERVER, "cat /srv/shop/shared/data") == "of the app"
    assert_as_before(
        site,
        *owner,
        "/srv/shop\td 755 0:0 ",
        f"/srv/shop/shared\td 750 {ids} ",
        *(line for line in listing() if line.startswith("/srv/shop/shared/")),
    )


def test_what_is_removed_already_is_nothing_to_remove(site: Site) -> None:
    again = site.remove(SHOP, "--yes")
    assert (again.status, again.stdout.splitlines()[-1]) == (0, f"{SERVER}: nothing to remove of shop")
    unknown = site.remove("never", "--yes", "--json")
    assert (unknown.status, unknown.changed(SERVER)) == (0, [])


def typed(site: Site, answers: str, *options: str) -> Answer:
    """A removal of the app shop whose questions are answered on a terminal."""
    return on_a_terminal(site.inventory().command("remove", SERVER, "--app", SHOP, *options), answers)


def test_data_goes_when_it_is_named(site: Site) -> None:
    for options, said in (
        (("--with-data", "shpo", "--yes"), "--with-data shpo: write the name of the app whose data is to go, shop"),
        (("--with-data", "--yes"), "--with-data removes data for ever, and there is no terminal to ask on: write "),
        (("--with-data", "shop"), "remove asks before it begins, and there is no terminal to ask on: add --yes"),
    ):
        answer = site.remove(SHOP, *options)
        assert (answer.status, answer.stderr.startswith(said)) == (1, True), answer.stderr
    before = listing()
    for answers, status, said in (
        ("shpo\n", 1, "--with-data shpo: write the name of the app whose data is to go, shop"),
        ("shop\nno\n", 1, "nothing was removed"),
        ("shop\ny\n", 0, "shop: remove user shop"),
    ):
        assert listing() == before
        answer = typed(site, answers, "--with-data")
        assert (answer.status, said in answer.stdout) == (status, True), answer.stdout
    assert_as_before(site)


@pytest.mark.long
def test_an_app_of_supervisor_goes_with_its_logs_and_jobs_and_its_data(site: Site) -> None:
    site.inventory(TALK).deploy(SERVER)
    assert shell(SERVER, "ls /etc/cron.d /etc/supervisor/conf.d").count("talk-") >= 3
    with load(ADDRESS, DOMAIN, 120) as seen:
        assert site.remove(TALK, "--with-data", TALK, "--yes", "--json").status == 0
    assert seen.lost() == []
    assert shell(SERVER, "supervisorctl status || true") == ""
    assert_as_before(site)


@steps.noted(SERVER)
@pytest.mark.long
def test_a_removal_that_is_killed_is_finished_by_the_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script on the server, by SIGKILL: while nginx is told, units stop, and certificates and files go."""
    # Each run does again what the one before it did not finish, which takes its time on a machine that is busy.
    monkeypatch.setattr(steps, "SECONDS", 300)
    site.inventory(SHOP).deploy(SERVER)
    shell(
        SERVER, "mkdir -p /etc/cron.d /var/spool/cron/crontabs && echo '* * * * * true' >/var/spool/cron/crontabs/shop"
    )
    for part, number in (("site", 2), ("runs", 4), ("certificate", 2), ("files", 6)):
        steps.arm(SERVER, f"uninstalled:shop/{part}", number)
        process = site.inventory().start("remove", SERVER, "--app", SHOP, "--with-data", SHOP, "--yes", "--json")
        steps.wait(SERVER)
        steps.end_the_script(SERVER)
        said = json.loads(process.communicate(timeout=60)[0])["hosts"][SERVER]["error"]
        assert "was ended on the server" in said, said
    steps.arm(SERVER)
    last = site.remove(SHOP, "--with-data", SHOP, "--yes", "--json")
    assert last.status == 0, last.stdout
    assert site.remove(SHOP, "--yes", "--json").changed(SERVER) == []


@pytest.mark.long
def test_nothing_is_left_of_what_was_killed(site: Site) -> None:
    assert_as_before(site)


def test_what_is_somebody_elses_is_named_and_stays(site: Site) -> None:
    shell(SERVER, "useradd -m mine && mkdir /srv/mine && echo data >/srv/mine/file")
    before = listing()
    answer = site.remove("mine", "--with-data", "mine", "--yes", "--json")
    assert answer.status == 1
    assert answer.host(SERVER)["error"].startswith("mine: the server has the user mine (uid ")
    assert listing() == before
    shell(SERVER, "userdel -r mine 2>/dev/null; rm -r /srv/mine")
