"""A running app that attacks the server, beside another app: every task does the same as with one that behaves well."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import lab
from tests.lab import hostile, hostile_app
from tests.lab.conftest import LAB, SUITE, Controller, https, shell
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")
# What is the app's own, what the system writes by itself, and the folders that are open to all.
SKIPPED = (
    "/srv/hostile /etc/hostile /run/hostile /var/cache/provision/build-hostile /var/lib/provision/apps/hostile /run/systemd /run/user"
    " /run/log /run/udev /run/provision/runs /run/provision/steps /var/log /var/lib/systemd /var/lib/private /tmp /var/tmp /run/lock"
)
LISTING = (
    "find / /run -xdev \\( "
    + " -o ".join(f"-path {path}" for path in SKIPPED.split())
    + " \\) -prune -o -printf '%p\\t%y %u:%g %m %l\\t%i %s %T@\\0' | base64 -w0"
)
# Where the app may write: its shared folder; under Supervisor, which has no sandbox, where any user may.
OPEN = re.compile(r"/srv/hostile/shared$|(/tmp|/var/tmp|/dev/shm|/dev/mqueue|(/var)?/run/(lock|shm)|/var/lock)(/|$)")
TASKS = (
    ("deploy", "--json"),
    ("deploy", "--hold", "--json", "--app", "hostile", "--revision", "held"),
    ("releases", "--json"),
    ("promote", "--json"),
    ("rollback", "--json", "--app", "hostile"),
    ("restart", "--json"),
    ("run", "--app", "hostile", "--", "python", "attack.py", "run"),
    ("maintenance.on",),
    ("maintenance.off",),
    ("provision", "--json"),
    ("status",),
    ("verify",),
    ("logs", "--lines", "40"),
    ("plan",),
)
# systemd alone is the sample of `make test`.
MANAGERS = ("systemd", "supervisor") if os.environ.get("PROVISION_EVERY_MANAGER") else ("systemd",)
Listing = dict[str, set[tuple[str, str]]]


@dataclass(frozen=True)
class Ran:
    """All tasks: their exit statuses and what they printed, and the server before and after."""

    statuses: dict[str, int]
    printed: str
    before: Listing
    after: Listing

    def changed(self) -> set[str]:
        """The paths that are not what they were."""
        return {
            path for path in self.before.keys() | self.after.keys() if self.before.get(path) != self.after.get(path)
        }

    def kinds(self) -> dict[str, set[str]]:
        """Type, owner, mode and link of each path afterwards."""
        return {path: {what for what, _ in found} for path, found in self.after.items()}


class Server:
    """Two apps on a server that was bare, one of which is to turn hostile."""

    def __init__(self, folder: Path) -> None:
        self.repositories = {name: Repository.create(f"{name}-{SERVER}", folder / name) for name in hostile.APPS}
        self.repositories["victim"].commit(hostile.VICTIM)
        self.path = folder / "hostile.yml"
        self.controller = Controller(self.path)
        lab.reset(SERVER, SUITE)

    def run(self, files: dict[str, str], note: str) -> Ran:
        """All tasks, over an app with these files."""
        repository = self.repositories["hostile"]
        repository.commit({**files, "note": f"{note}, held"}, "held")
        repository.commit({**files, "note": note})
        before, statuses, printed = listing(), {}, ""
        for task, *options in TASKS:
            answer = self.controller(task, SERVER, *options)
            statuses[f"{task} {' '.join(options[:1])}"] = answer.status
            if answer.status and task != "plan":
                print(f"{note}: {task} {options}: {answer.stdout[-1500:]} {answer.stderr[-1500:]}")
            printed += answer.stdout + answer.stderr
        return Ran(statuses, printed, before, listing())

    def begin(self, manager: str) -> None:
        """The app behaves well, under this process manager."""
        sites = {name: (hostile_app.SITE if name == "hostile" else hostile.SITE) for name in hostile.APPS}
        urls = {name: one.url for name, one in self.repositories.items()}
        apps = (sites[name].format(name=name, url=urls[name], manager=manager) for name in hostile.APPS)
        self.path.write_text(f"include: {LAB}/lab.yml\napps:{''.join(apps)}")
        self.repositories["hostile"].commit({**hostile_app.WELL_BEHAVED, "note": manager})
        self.controller.deploy(SERVER)
        shell(SERVER, "touch /root/victim; echo word >/srv/victim/shared/word")


def listing() -> Listing:
    """Type, owner, mode and link of what is on the server; and inode, size and time. Ids and slots are left out of the names,

    so that a name can have several.
    """
    text = shell(SERVER, f"{LISTING} | base64 -d | tr '\\0' '\\n'")
    found: Listing = {}
    for line in text.splitlines():
        path, what, state = line.split("\t")
        path = re.sub(r"\d{8}T\d{6}-[0-9a-f]+", "ID", path).replace("blue", "SLOT").replace("green", "SLOT")
        what = re.sub(r"\d{8}T\d{6}-[0-9a-f]+|blue|green", "", what)
        found.setdefault(path, set()).add((what, state if what[0] == "f" else ""))
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("hostile"))
    yield made
    for one in made.repositories.values():
        one.remove()


@pytest.mark.parametrize("manager", MANAGERS)
def test_every_task_does_the_same_over_an_app_that_attacks(server: Server, manager: str) -> None:
    server.begin(manager)
    good = server.run(hostile_app.WELL_BEHAVED, f"{manager}, good")
    bad = server.run(hostile_app.ATTACKS, f"{manager}, bad")
    # The plan is what would end the rollback.
    assert {task for task, status in good.statuses.items() if status} == {"plan "}, good.statuses
    assert bad.statuses == good.statuses, bad.printed[-3000:]
    assert bad.changed() - good.changed() == set()
    assert bad.kinds() == good.kinds()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", bad.printed)
    assert not re.search(r"^(\S+ )?➜ .*forged|\"(error|notices)\": .*forged", bad.printed, re.MULTILINE)
    assert https(SERVER, "/", f"victim.{SERVER}.test").stdout == '"hello from victim"'
    reports = shell(
        SERVER, "tail -n +1 /srv/hostile/shared/report-*.json; echo; cat /root/victim; cat /srv/victim/shared/word"
    )
    named = dict(re.findall(r"==> \S+/report-(\w+)\.json <==\n(\{.*\})", reports))
    assert set(named) == {"app", "worker", "migration", "before", "after", "run"}
    for name, report in named.items():
        found = json.loads(report)
        assert ({path for path in found["writes"] if not OPEN.match(path)}, found["kills"]) == (set(), []), name
    assert reports.splitlines()[-1] == "word"
