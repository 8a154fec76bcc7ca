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
    + " \\) -prune -o -printf '%p\\t%y %u:%g %m %l\\t%i %s %C@\\0' | base64 -w0"
)
# Where the app may write: its shared folder; under Supervisor, which has no sandbox, where any user may.
OPEN = re.compile(r"/srv/hostile/shared$|(/tmp|/var/tmp|/dev/shm|/dev/mqueue|(/var)?/run/(lock|shm)|/var/lock)(/|$)")
ALL_TASKS = (
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
    ("doctor",),
    ("verify",),
    ("logs", "--lines", "40"),
    ("plan",),
)
# Some tasks, under systemd alone, are the sample of `make test`.
SAMPLE = ("deploy", "promote", "rollback", "run", "status", "verify", "plan")
TASKS = [task for task in ALL_TASKS if "PROVISION_ALL" in os.environ or task[0] in SAMPLE]
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
    """Two apps on a server that was reset, one of which is to turn hostile."""

    def __init__(self, folder: Path) -> None:
        self.repositories = {name: Repository.create(f"{name}-{SERVER}", folder / name) for name in hostile.APPS}
        self.repositories["victim"].commit(hostile.VICTIM)
        self.path = folder / "hostile.yml"
        self.controller = Controller(self.path)
        lab.reset(SERVER, SUITE, used=True)

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

    def declare(self, site: str, **words: str) -> None:
        """The inventory has the victim, and the hostile app like this."""
        apps = [
            text.format(name=name, url=self.repositories[name].url, **words)
            for name, text in zip(hostile.APPS, (hostile.SITE, site), strict=True)
        ]
        self.path.write_text(f"include: {LAB}/lab.yml\napps:{''.join(apps)}")

    def begin(self, manager: str) -> None:
        """The app behaves well, under this process manager."""
        self.declare(hostile_app.SITE, manager=manager)
        self.repositories["hostile"].commit({**hostile_app.WELL_BEHAVED, "note": manager})
        self.controller.deploy(SERVER)
        shell(SERVER, "touch /root/victim; echo word >/srv/victim/shared/word")


def listing() -> Listing:
    """Type, owner, mode and link of what is on the server; and inode, size and the time of the last change, which nobody can set.

    Ids and slots are left out of the names, so that a name can have several.
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
        assert {path for path in found["writes"] if not OPEN.match(path)} == set(), name
        assert [found[key] for key in ("kills", "looks", "reads", "connects")] == [[], [], [], []], name
        # Supervisor has no sandbox, so its processes see which others there are.
        assert found["sees"] == [] or (manager, name) in (("supervisor", "app"), ("supervisor", "worker")), name
        assert found["targets"], name
    assert reports.splitlines()[-1] == "word"
    if manager == "systemd":
        assert set(shell(SERVER, "cat /srv/hostile/shared/loaded").splitlines()) == {"Seccomp:\t2"}


# Outside of every unit, as an older server may have it: each moment another process, which no list of them has.
CHAIN = """
cat >/tmp/chain.pl <<'END'
my $end = time + 100;
while (time < $end) { my $next = fork; exit if $next; select undef, undef, undef, 0.001 }
END
chmod 644 /tmp/chain.pl
setsid setpriv --reuid=hostile --regid=hostile --clear-groups perl /tmp/chain.pl </dev/null >/dev/null 2>&1 &
"""
CHAINED = "for _ in 1 2 3 4 5 6 7 8 9; do ls -ld /proc/[0-9]* 2>/dev/null | grep ' hostile ' || true; done"
OTHERS = "/root /root/victim /home /home/* /etc/passwd /etc/victim/env /srv/victim/shared /srv/victim/shared/word"
# A program may be called like a line about another user's program, with one folder more among what is to go.
PROGRAM = """
below=$(printf '/srv/heir/shared/x\\n/opt/pyenv/versions/x/y root P\\tthing=/home\\n/z')
mkdir -p "$below"
cp /bin/sleep "$below/sleep"
chmod -R a+rX /srv/heir/shared/x*
setpriv --reuid=heir --regid=heir --clear-groups "$below/sleep" 100 </dev/null >/dev/null 2>&1 &
mkdir -p /opt/pyenv
touch /opt/pyenv/.revision
"""


@pytest.mark.long
def test_the_data_of_an_app_that_attacks_changes_hands_and_nothing_else_does(server: Server) -> None:
    owned = f"stat -c '%n %F %U:%G %a' {OTHERS}"
    before = shell(SERVER, owned)
    shell(SERVER, CHAIN)
    server.repositories["hostile"].commit({**hostile_app.WELL_BEHAVED, "note": "heir"})
    server.declare(f"{hostile.SITE.replace('{name}:', 'heir:', 1)}    renamed_from: hostile\n")
    taken = server.controller("deploy", SERVER, "--json")
    assert taken.status == 0, taken.stdout
    assert (shell(SERVER, CHAINED), shell(SERVER, owned)) == ("", before)
    assert shell(SERVER, "getent passwd hostile; ls -d /srv/hostile /etc/hostile 2>/dev/null || true") == ""
    assert shell(SERVER, "find /srv/heir/shared -xdev ! -user heir -printf '%y %p %u:%g\\n'") == ""
    assert https(SERVER, "/", f"victim.{SERVER}.test").stdout == '"hello from victim"'


@pytest.mark.long
def test_what_an_app_that_attacks_has_planted_takes_nothing_along_when_all_is_removed(server: Server) -> None:
    owned = "stat -c '%n %F %U:%G %a' /root /root/victim /home /home/*"
    shell(SERVER, PROGRAM)
    before = shell(SERVER, owned)
    removed = server.controller("remove", SERVER, "--yes", "--with-data", SERVER, "--json")
    assert removed.status == 0, removed.stdout
    assert shell(SERVER, owned) == before
    assert shell(SERVER, "cat /root/victim; ls -A /srv; getent passwd heir victim || true") == ""
