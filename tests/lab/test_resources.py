"""Each kind of resource on a real server: it comes about, it stays, and what a hand changed is seen and repaired."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import lab
from provision.engine.resource import Change, Probe, Resource, State
from provision.inventory import load
from provision.lab import acme
from provision.report.document import Silence
from provision.resources.file import Absent, Directory, File, Link
from provision.resources.package import Packages
from provision.resources.service import Service
from provision.resources.user import Group, User
from provision.run import fleet
from provision.run.host import Result
from tests.lab.conftest import LAB, ROOT, SUITE, Answer, Controller, https, seed, shell

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab1")
KINDS = {
    *("packages", "file", "directory", "link", "group", "user", "service", "placeholder", "certificate"),
    *("pyenv", "python", "uv", "mirror", "release", "venv", "check", "migration", "activation"),
}
SITE = "/etc/nginx/sites-available/sample.conf"
LIVE = "/etc/ssl/provision/sample"
UNIT = "/etc/systemd/system/sample@.service"
# The names of the slot that has the traffic and of the other one.
SLOTS = "active=$(basename $(readlink /run/sample/current.sock) .sock); idle=$(echo bluegreen | sed s/$active//); "
WORKERS = "cat /proc/$(cat /run/nginx.pid)/task/*/children"
# Where the tests with a role of their own put their things.
FOLDER = "/srv/kinds"
NGINX_EXTRA = "/etc/nginx/sites-enabled/kinds.conf"


@dataclass(frozen=True)
class Site:
    """The sample app on the server, of one commit from beginning to end. `first` is the deploy to the bare server."""

    controller: Controller
    commit: str
    first: Answer

    def deploy(self) -> Answer:
        return self.controller.deploy(SERVER, "--revision", self.commit)

    def plan(self) -> Answer:
        return self.controller.plan(SERVER, "--revision", self.commit)


@pytest.fixture(scope="module")
def site(sample: str, pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One worker is enough for these tests, and starts sooner."""
    path = tmp_path_factory.mktemp("resources") / "resources.yml"
    path.write_text(sample.replace("module:", "workers: 1\n    module:"))
    seed(path, pythons)
    commit = subprocess.run(
        ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    lab.reset(SERVER, SUITE)
    controller = Controller(path)
    return Site(controller, commit, controller.deploy(SERVER, "--revision", commit))


def status(path: str = "/") -> str:
    """What the site answers over HTTPS; the certificate must be the authority's."""
    return https(SERVER, path, "", "-o", "/dev/null", "-w", "%{http_code}").stdout


def named(ids: list[str]) -> list[str]:
    """Ids as the table below has them: without the versions of pyenv, Python and uv."""
    return [kind if kind in ("pyenv", "python", "uv") else f"{kind}:{rest}" for kind, _, rest in map(_parts, ids)]


def _parts(name: str) -> tuple[str, str, str]:
    return name.partition(":")


def test_a_bare_server_has_all_kinds_after_one_deploy(site: Site) -> None:
    assert {kind for kind, _, _ in map(_parts, site.first.changed(SERVER))} == KINDS
    assert site.first.host(SERVER)["execs"] == 3
    assert status() == "200"


def test_a_run_that_changes_nothing_costs_two_execs(site: Site) -> None:
    again = site.deploy().host(SERVER)
    assert (again["status"], again["changes"], again["changed"], again["execs"]) == ("ok", [], 0, 2)
    plan = site.plan()
    assert (plan.status, plan.host(SERVER)["execs"]) == (0, 2)


@dataclass(frozen=True)
class Drift:
    """What a hand did on the server, what the plan names then, and a command that succeeds when it is as before.

    `serves` says whether the site answers in between; None where that depends on what the app has open.
    """

    name: str
    hand: str
    names: tuple[str, ...]
    repaired: str
    serves: bool | None = True


ACTIVATION = "activation:sample"
RESTORED = ("check:sample", ACTIVATION)
DRIFTS = (
    Drift(
        "certbot removed",
        "dpkg --remove --force-depends certbot",
        ("packages:certbot", "service:certbot.timer"),
        "certbot --version && systemctl is-active certbot.timer",
    ),
    Drift(
        "junk in the site's file",
        f"echo junk >>{SITE}",
        (f"file:{SITE}", "service:nginx"),
        f"! grep -q junk {SITE} && nginx -t",
    ),
    Drift(
        "a file's owner and mode",
        "chown www-data /etc/tmpfiles.d/sample.conf; chmod 666 /etc/sample/env",
        ("file:/etc/tmpfiles.d/sample.conf", "file:/etc/sample/env"),
        "test $(stat -c %U:%a /etc/tmpfiles.d/sample.conf /etc/sample/env | tr '\\n' ,) = root:644,root:640,",
    ),
    Drift(
        "a value in a secret file",
        "sed -i 's/^SECRET_KEY=.*/SECRET_KEY=\"changed by hand\"/' /etc/sample/env",
        ("file:/etc/sample/env",),
        "! grep -q 'by hand' /etc/sample/env",
    ),
    Drift(
        "a directory removed",
        "rm -rf /var/www/acme",
        ("directory:/var/www/acme",),
        "test $(stat -c %a /var/www/acme) = 755",
    ),
    Drift(
        "the shared folder removed, and the database with it",
        "rm -rf /srv/sample/shared",
        ("directory:/srv/sample/shared", "migration:sample", ACTIVATION),
        "test $(stat -c %U:%a /srv/sample/shared) = sample:750 && test -s /srv/sample/shared/sample.db",
        serves=None,
    ),
    Drift(
        "a link that leads elsewhere",
        "ln -sfn /etc/motd /etc/nginx/sites-enabled/sample.conf",
        ("link:/etc/nginx/sites-enabled/sample.conf", "service:nginx"),
        f"test $(readlink -f /etc/nginx/sites-enabled/sample.conf) = {SITE}",
    ),
    Drift(
        "a link deleted",
        "rm /etc/localtime",
        ("link:/etc/localtime",),
        "test -e /etc/localtime",
    ),
    Drift(
        "a user who may log in",
        "usermod -s /bin/sh sample",
        ("user:sample",),
        "getent passwd sample | grep -q nologin",
    ),
    Drift(
        "nginx stopped and disabled",
        "systemctl disable -q --now nginx",
        ("service:nginx",),
        "systemctl is-active nginx && systemctl is-enabled nginx",
        serves=False,
    ),
    Drift(
        "the timer stopped and disabled",
        "systemctl disable -q --now certbot.timer",
        ("service:certbot.timer",),
        "systemctl is-active certbot.timer && systemctl is-enabled certbot.timer",
    ),
    Drift(
        "the git mirror deleted",
        "rm -rf /srv/sample/repository.git",
        ("mirror:/srv/sample/repository.git",),
        "git --git-dir=/srv/sample/repository.git rev-parse HEAD~0 --verify --quiet || "
        "git --git-dir=/srv/sample/repository.git for-each-ref --count=1",
    ),
    Drift(
        "the git mirror of another repository",
        "git --git-dir=/srv/sample/repository.git config remote.origin.url git://elsewhere.test/sample.git",
        ("mirror:/srv/sample/repository.git",),
        "! git --git-dir=/srv/sample/repository.git config remote.origin.url | grep elsewhere",
    ),
    Drift(
        "a file of pyenv modified",
        "echo modified >>/opt/pyenv/README.md",
        ("pyenv",),
        "git -C /opt/pyenv diff --quiet HEAD",
    ),
    Drift("uv removed", "rm -rf /opt/uv", ("uv",), "/opt/uv/*/bin/uv --version"),
    Drift(
        "the Python removed under the running app",
        "rm -rf /opt/pyenv/versions/*",
        ("python", "venv:sample", *RESTORED),
        "/srv/sample/current/.venv/bin/python -c 'import ssl, sqlite3, fastapi'",
    ),
    Drift(
        "a file of a library edited",
        "echo '# by hand' >>$(ls /srv/sample/current/.venv/lib/python3*/site-packages/fastapi/__init__.py)",
        ("venv:sample", *RESTORED),
        "! grep -q 'by hand' /srv/sample/current/.venv/lib/python3*/site-packages/fastapi/__init__.py",
    ),
    Drift(
        "a file of the release edited",
        "echo '# by hand' >>/srv/sample/current/sample_app/sample_app/main.py",
        ("release:sample", *RESTORED),
        "! grep -q 'by hand' /srv/sample/current/sample_app/sample_app/main.py",
    ),
    Drift(
        "a file of the release deleted and one added",
        "cd /srv/sample/current/sample_app && rm alembic.ini && touch sample_app/static/added.txt",
        ("release:sample", *RESTORED),
        "cd /srv/sample/current/sample_app && test -s alembic.ini && test ! -e sample_app/static/added.txt",
    ),
    Drift(
        "the default certificate removed",
        "rm -r /etc/ssl/provision/placeholder/default",
        ("placeholder:/etc/ssl/provision/default",),
        "openssl x509 -noout -in /etc/ssl/provision/default/fullchain.pem && nginx -t",
    ),
    Drift(
        "the certificate's link to a copy",
        f"cp -rL {LIVE} /root/copy && ln -sfn /root/copy {LIVE}",
        (f"certificate:{LIVE}", "service:nginx-certificates"),
        f"readlink {LIVE} | grep -x /etc/letsencrypt/live/sample",
    ),
    Drift(
        "all of certbot's state removed",
        "rm -rf /etc/letsencrypt",
        (
            f"placeholder:{LIVE}",
            "directory:/etc/letsencrypt/renewal-hooks/deploy",
            "file:/etc/letsencrypt/renewal-hooks/deploy/nginx",
            f"certificate:{LIVE}",
            "service:nginx-certificates",
        ),
        "openssl x509 -noout -in /etc/letsencrypt/live/sample/fullchain.pem",
    ),
    Drift(
        "the marks of what was checked, migrated and loaded removed",
        "rm -r /var/lib/provision/apps /var/lib/provision/stamps",
        ("service:nginx", "service:nginx-certificates", "check:sample", "migration:sample"),
        "test -s /var/lib/provision/apps/sample/migrated",
    ),
    Drift(
        "the link to the live socket removed",
        "rm /run/sample/current.sock",
        (ACTIVATION,),
        "test -S /run/sample/current.sock",
        serves=False,
    ),
    Drift(
        "the link to the live socket removed while the other slot is live",
        "rm /run/sample/current.sock",
        (ACTIVATION,),
        "test -S /run/sample/current.sock",
        serves=False,
    ),
    Drift(
        "the live slot stopped",
        f"{SLOTS} systemctl stop sample@$active",
        (ACTIVATION,),
        f"{SLOTS} systemctl is-active sample@$active",
        serves=False,
    ),
    Drift(
        "the live slot disabled",
        f"{SLOTS} systemctl disable -q sample@$active",
        (ACTIVATION,),
        f"{SLOTS} systemctl is-enabled sample@$active && ! systemctl is-enabled sample@$idle",
    ),
    Drift(
        "the live slot's environment edited",
        f"{SLOTS} echo BY=hand >>/etc/sample/$active/env",
        (ACTIVATION,),
        f"{SLOTS} cmp /etc/sample/$active/env /etc/sample/env",
    ),
    Drift(
        "the other slot started",
        f"{SLOTS} systemctl start sample@$idle",
        (ACTIVATION,),
        f"{SLOTS} systemctl is-active sample@$active && ! systemctl is-active sample@$idle",
    ),
    Drift(
        "the unit edited and loaded",
        f"echo '# by hand' >>{UNIT}; systemctl daemon-reload",
        (f"file:{UNIT}", ACTIVATION),
        f"! grep -q 'by hand' {UNIT} && ! systemctl show 'sample@*' -p NeedDaemonReload | grep yes",
    ),
    Drift(
        "current leads elsewhere",
        "ln -sfn releases/none /srv/sample/current",
        (ACTIVATION,),
        "test -e /srv/sample/current/.release",
    ),
)


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.name.replace(" ", "-"))
def test_what_a_hand_changed_is_all_that_is_planned_and_is_repaired(site: Site, drift: Drift) -> None:
    workers = set(shell(SERVER, WORKERS).split())
    shell(SERVER, drift.hand)
    between = status()
    planned = site.plan()
    deployed = site.deploy()
    after = site.plan()
    assert planned.status == 2
    assert named(planned.changed(SERVER)) == list(drift.names)
    assert named(deployed.changed(SERVER)) == list(drift.names)
    assert (after.status, after.changed(SERVER)) == (0, [])
    assert drift.serves in (None, between == "200")
    assert status() == "200"
    shell(SERVER, drift.repaired)
    reloads = any(name.startswith("service:nginx") for name in drift.names)
    assert bool(set(shell(SERVER, WORKERS).split()) - workers) == reloads


def test_the_diff_of_a_hand_edit_is_that_edit(site: Site) -> None:
    shell(SERVER, f"echo '# by hand' >>{SITE}")
    planned = {change["id"]: change["diff"] for change in site.plan().host(SERVER)["changes"]}
    lines = planned[f"file:{SITE}"].splitlines()
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-# by hand"]
    assert planned["service:nginx"] == ""
    site.deploy()


def test_a_secret_is_masked_in_the_plan_and_its_change_is_seen(site: Site) -> None:
    before = shell(SERVER, "grep ^SECRET_KEY= /etc/sample/env")
    shell(SERVER, "sed -i 's/^SECRET_KEY=.*/SECRET_KEY=\"another-value\"/' /etc/sample/env")
    planned = site.plan().stdout
    site.deploy()
    assert "SECRET_KEY=******** (changed)" in planned
    assert "another-value" not in planned
    assert before.partition("=")[2].strip('"') not in planned


# From here on with a role of the test's own: what it returns is all that the run knows.

Apply = Callable[..., Result]


@pytest.fixture(scope="module")
def apply(site: Site) -> Apply:
    """Applies these resources; with applies=False, plans them."""
    found = load(site.controller.inventory)

    def apply(*resources: Resource, applies: bool = True) -> Result:
        (result,) = fleet.run(
            "test", found, found.select(SERVER), lambda host, facts: resources, Silence(), applies, revisions=False
        )
        return result

    return apply


@pytest.fixture
def folder(site: Site) -> str:
    """An empty folder on the server."""
    shell(SERVER, f"rm -rf {FOLDER} && mkdir {FOLDER}")
    return FOLDER


def ids(result: Result) -> list[str]:
    assert result.error is None, "\n".join((result.error, *result.output))
    return [change.id for change in result.changes]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("", "empty"),
        ("no newline at the end", "no newline"),
        ("a name\n", "a folder/with spaces, 'quotes' & $dollars.txt"),
        ("\0\x01\x1b[31m é 漢字 😀 \\ $HOME `id` %s\r\n\tEND_OF_BASE64\nEND_OF_CHANGE_0\n", "anything"),
        ("0123456789abcdef" * 65536, "a megabyte in one line"),
        ("".join(f"line {number}\n" for number in range(90_000)), "a megabyte of lines"),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_a_file_has_any_content_and_any_name(apply: Apply, folder: str, content: str, name: str) -> None:
    file = File(f"{folder}/{name}", content, "www-data", "games", 0o604)
    above = Directory(os.path.dirname(file.path))  # noqa: PTH120
    apply(above)
    assert ids(apply(file)) == [file.id]
    assert ids(apply(file)) == []
    found = shell(SERVER, f'cd {folder} && find . -type f -printf "%p %u:%g %m %s " -exec sha256sum {{}} +')
    assert f"./{name} www-data:games 604 {len(content.encode())} " in found
    assert file.sha256 in found
    shell(SERVER, f"find {folder} -type f -exec sh -c 'echo more >>\"$1\"' - {{}} ';'")
    assert ids(apply(file)) == [file.id]
    assert ids(apply(file, applies=False)) == []
    assert shell(SERVER, f"find {folder} -name '.*' -o -name '*provision*'") == ""


def test_the_diff_of_a_large_file_is_of_its_beginning_and_the_plan_says_so(apply: Apply, folder: str) -> None:
    file = File(f"{folder}/large", "".join(f"line {number}\n" for number in range(90_000)))
    ids(apply(file))
    shell(SERVER, f"sed -i 's/^line 7$/line x/' {file.path}")
    (change,) = apply(file, applies=False).changes
    assert [line for line in change.diff.splitlines()[2:] if line[0] in "+-"] == ["-line x", "+line 7"]
    assert change.summary == f"write {file.path} (compared: its first 256 KB)"


def test_a_file_takes_the_place_of_a_link_and_leaves_what_it_led_to(apply: Apply, folder: str) -> None:
    shell(SERVER, f"echo kept >{folder}/target; ln -s target {folder}/file")
    file = File(f"{folder}/file", "new\n")
    assert ids(apply(file)) == [file.id]
    assert ids(apply(file)) == []
    assert (
        shell(SERVER, f"cat {folder}/target; cat {folder}/file; stat -c %F {folder}/file") == "kept\nnew\nregular file"
    )


def test_a_file_that_its_check_refuses_is_as_it_was(apply: Apply, folder: str) -> None:
    good = File(f"{folder}/checked", "good\n", mode=0o640, check=f"grep -q good {folder}/checked")
    bad = File(good.path, "bad\n", check=good.check)
    refused = apply(bad)
    assert (refused.status, refused.changed, refused.failed) == ("failed", 0, 1)
    assert shell(SERVER, f"ls -A {folder}") == ""
    assert ids(apply(good)) == [good.id]
    refused = apply(bad)
    assert refused.error == f"{bad.path} was put back as it was: {bad.check} refused the new one"
    assert shell(SERVER, f"ls -A {folder}; cat {good.path}; stat -c %a {good.path}") == "checked\ngood\n640"
    assert ids(apply(good)) == []


def test_a_secret_files_values_are_never_shown(apply: Apply, folder: str) -> None:
    def planned(content: str) -> str:
        (change,) = apply(File(f"{folder}/secret", content, mode=0o600, secret=True), applies=False).changes
        return change.summary + change.diff

    assert "first-value" not in planned("A=first-value\nB=same-value\n")
    ids(apply(File(f"{folder}/secret", "A=first-value\nB=same-value\n", mode=0o600, secret=True)))
    text = planned("A=second-value\nB=same-value\n")
    assert "+A=******** (changed)" in text
    assert not any(value in text for value in ("first-value", "second-value", "same-value"))


def test_a_directory_is_made_with_its_parents_and_keeps_what_is_in_it(apply: Apply, folder: str) -> None:
    directory = Directory(f"{folder}/some where/deep", "www-data", "games", 0o2750)
    stat = f"stat -c %U:%G:%a:%F '{directory.path}'"
    for hand in ("true", f"rm -rf '{folder}/some where'"):
        shell(SERVER, hand)
        assert ids(apply(directory)) == [directory.id]
        assert ids(apply(directory)) == []
        assert shell(SERVER, stat) == "www-data:games:2750:directory"
    shell(SERVER, f"touch '{directory.path}/kept'; chmod 2777 '{directory.path}'")
    (change,) = apply(directory).changes
    assert change.summary == f"{directory.path}: mode 2777 -> 2750"
    assert shell(SERVER, f"ls '{directory.path}'; {stat}") == "kept\nwww-data:games:2750:directory"


def test_a_directory_does_not_take_the_place_of_a_file(apply: Apply, folder: str) -> None:
    shell(SERVER, f"echo kept >{folder}/file")
    assert apply(Directory(f"{folder}/file")).error == f"{folder}/file is there and is not a folder: move it away"
    assert shell(SERVER, f"cat {folder}/file") == "kept"


def test_a_directory_that_someone_replaced_by_a_link_is_refused_and_left_alone(apply: Apply, folder: str) -> None:
    shell(SERVER, f"mkdir {folder}/disk; touch {folder}/disk/data; ln -s disk {folder}/shared")
    refused = apply(Directory(f"{folder}/shared"))
    assert refused.error == (
        f"{folder}/shared is a link to disk, and a directory is wanted: remove the link, or mount what it leads to there"
    )
    assert shell(SERVER, f"readlink {folder}/shared; ls {folder}/disk") == "disk\ndata"


def test_a_link_takes_the_place_of_a_file_but_not_of_a_directory(apply: Apply, folder: str) -> None:
    link = Link(f"{folder}/a link", "../over there")
    for hand in ("true", f"echo >'{link.path}.x' && mv '{link.path}.x' '{link.path}'", f"ln -sfn / '{link.path}'"):
        shell(SERVER, hand)
        assert ids(apply(link)) == [link.id]
        assert ids(apply(link)) == []
        assert shell(SERVER, f"readlink '{link.path}'") == "../over there"
    shell(SERVER, f"rm '{link.path}'; mkdir '{link.path}'; touch '{link.path}/kept'")
    assert apply(link).error == f"{link.path} is a directory, not a link: move it away"
    assert shell(SERVER, f"ls -A '{link.path}'") == "kept"


def test_what_must_not_be_there_goes_whatever_it_is(apply: Apply, folder: str) -> None:
    shell(
        SERVER,
        f"cd {folder}; mkdir -p 'a tree/of' kept; touch 'a tree/of/files' -- -file; ln -s kept link; ln -s no dangling",
    )
    absent = tuple(Absent(f"{folder}/{name}") for name in ("a tree", "-file", "link", "dangling", "never there"))
    assert ids(apply(*absent)) == [one.id for one in absent[:-1]]
    assert ids(apply(*absent)) == []
    assert shell(SERVER, f"ls -A {folder}") == "kept"
    shell(SERVER, f"touch '{folder}/never there'")
    assert ids(apply(*absent)) == [absent[-1].id]
    assert ids(apply(*absent, applies=False)) == []


def test_users_and_groups_are_made_kept_and_made_again(apply: Apply) -> None:
    wanted = (Group("kinds"), User("kinds", "/srv/kinds/home"))
    everything = [one.id for one in wanted]
    entry = "id -un kinds; id -gn kinds; getent passwd kinds | cut -d: -f6-"
    for hand, expected in (
        ("true", everything),
        ("userdel kinds", everything),
        ("userdel kinds && groupadd --system kinds", everything[1:]),
        ("usermod -g games -d /tmp kinds", everything[1:]),
        ("usermod -s /bin/bash kinds", everything[1:]),
    ):
        shell(SERVER, hand)
        assert ids(apply(*wanted)) == expected
        assert ids(apply(*wanted)) == []
        assert shell(SERVER, entry) == "kinds\nkinds\n/srv/kinds/home:/usr/sbin/nologin"
    shell(SERVER, "userdel kinds")


def test_packages_are_installed_and_only_the_missing_ones_again(apply: Apply) -> None:
    wanted = Packages("kinds", ("bc", "curl", "dc"))
    (change,) = apply(wanted).changes
    assert change.summary == "install bc, dc"
    assert ids(apply(wanted)) == []
    shell(SERVER, "dpkg --remove dc")
    (change,) = apply(wanted).changes
    assert change.summary == "install dc"
    assert ids(apply(wanted, applies=False)) == []
    assert shell(SERVER, "echo 6 7 '*' p | dc") == "42"
    shell(SERVER, "dpkg --purge dc bc")


def test_a_service_runs_its_present_configuration(apply: Apply, folder: str) -> None:
    path = "/etc/systemd/system/kinds.service"

    def wanted(seconds: int, content: str) -> tuple[Resource, ...]:
        unit = f"[Service]\nExecStart=/bin/sleep {seconds}\n[Install]\nWantedBy=multi-user.target\n"
        configuration = File(f"{folder}/configuration", content)
        return (File(path, unit), configuration, Service("kinds", (path, configuration.path)))

    def process() -> str:
        assert shell(SERVER, "systemctl is-active kinds; systemctl is-enabled kinds") == "active\nenabled"
        return shell(
            SERVER,
            "tr '\\0' ' ' </proc/$(systemctl show -p MainPID --value kinds)/cmdline; stat -c %Y /proc/$(systemctl show -p MainPID --value kinds)",
        )

    first = wanted(4001, "one\n")
    assert ids(apply(*first)) == [one.id for one in first]
    assert ids(apply(*first)) == []
    pid = shell(SERVER, "systemctl show -p MainPID --value kinds")
    for resources, hand, expected in (
        (wanted(4001, "two\n"), "true", [first[1].id, "service:kinds"]),
        (wanted(4002, "two\n"), "true", [first[0].id, "service:kinds"]),
        (wanted(4002, "two\n"), f"touch {path}; systemctl daemon-reload", ["service:kinds"]),
        (wanted(4002, "two\n"), "systemctl kill -s KILL kinds; sleep 0.2", ["service:kinds"]),
        (
            wanted(4002, "two\n"),
            f"mv {folder}/configuration {folder}/x; cp {folder}/x {folder}/configuration",
            ["service:kinds"],
        ),
    ):
        shell(SERVER, hand)
        assert ids(apply(*resources)) == expected
        assert ids(apply(*resources)) == []
        old, pid = pid, shell(SERVER, "systemctl show -p MainPID --value kinds")
        assert process().startswith("/bin/sleep 400")
        assert pid != old
    shell(SERVER, f"systemctl disable -q --now kinds; rm {path}; systemctl daemon-reload")


@dataclass(frozen=True)
class Killed:
    """Ends the run on the server as a power cut would: nothing after it happens."""

    @property
    def id(self) -> str:
        return "killed:run"

    def probe(self) -> Probe:
        return Probe("probe_nothing", "probe_nothing() { cat >/dev/null; }\n")

    def plan(self, state: State, earlier: Mapping[str, Change]) -> Change | None:
        return Change(self.id, "kill the run", 'kill -9 "$(cat "$run/pid")"')


def settled() -> set[str]:
    """nginx's workers, once a reload of before has come to its end: it goes on after nginx -s reload has."""
    seen: list[set[str]] = []
    deadline = time.monotonic() + 20
    while seen[-3:] != seen[-1:] * 3 or not seen:
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
        seen.append(set(shell(SERVER, WORKERS).split()))
    return seen[-1]


def test_a_run_killed_between_writing_the_site_and_the_reload_reloads_next_time(apply: Apply) -> None:
    def wanted(content: str) -> tuple[Resource, Resource]:
        return File(NGINX_EXTRA, content, check="nginx -t"), Service(
            "nginx", (NGINX_EXTRA,), "reload", "nginx -t", stamp="kinds"
        )

    assert ids(apply(*wanted("# one\n"))) == [f"file:{NGINX_EXTRA}", "service:kinds"]
    file, service = wanted("# two\n")
    workers = settled()
    killed = apply(file, Killed(), service)
    assert (killed.status, killed.changed, killed.failed, killed.skipped) == ("failed", 1, 0, 2)
    assert "was ended on the server (killed, or a reboot): run again to finish its work" in str(killed.error)
    assert shell(SERVER, f"cat {NGINX_EXTRA}") == "# two"
    assert set(shell(SERVER, WORKERS).split()) <= workers
    again = apply(file, service)
    assert ids(again) == ["service:kinds"]
    assert again.changes[0].summary == "nginx: reload (its configuration changed since it was loaded)"
    assert set(shell(SERVER, WORKERS).split()) - workers
    assert ids(apply(file, service)) == []
    shell(SERVER, f"rm {NGINX_EXTRA}; nginx -s reload")


def test_a_configuration_that_nginx_refuses_is_not_loaded(apply: Apply) -> None:
    workers = settled()
    refused = apply(File(NGINX_EXTRA, "nonsense\n"), Service("nginx", (NGINX_EXTRA,), "reload", "nginx -t", "kinds"))
    assert refused.error == "nginx goes on with the configuration that it has: nginx -t refused the new one"
    assert any("nonsense" in line or NGINX_EXTRA in line for line in refused.output)
    assert set(shell(SERVER, WORKERS).split()) <= workers
    assert status() == "200"
    shell(SERVER, f"rm {NGINX_EXTRA}")


def test_a_configuration_that_nginx_cannot_use_is_not_taken_for_loaded(apply: Apply) -> None:
    """nginx -t passes, and so does the reload: that another program has the port is found out after it."""
    workers = settled()
    file = File(NGINX_EXTRA, "server { listen 22; }\n", check="nginx -t")
    service = Service("nginx", (NGINX_EXTRA,), "reload", "nginx -t", "kinds")
    for expected in ([file.id, service.id], [service.id]):
        failed = apply(file, service)
        assert failed.error == (
            "nginx goes on with the configuration that it has: 10 s after its reload its processes are those of before"
        )
        assert any("bind() to 0.0.0.0:22 failed (98: Address already in use)" in line for line in failed.output)
        assert [change.id for change in failed.changes] == expected
        assert set(shell(SERVER, WORKERS).split()) <= workers
        assert status() == "200"
    assert ids(apply(File(NGINX_EXTRA, "# right\n", check="nginx -t"), service)) == [file.id, service.id]
    assert set(shell(SERVER, WORKERS).split()) - workers
    shell(SERVER, f"rm {NGINX_EXTRA}; nginx -s reload")


def test_a_reload_does_not_wait_for_those_who_are_still_served(apply: Apply) -> None:
    """Whoever holds a connection to a worker of before, as a websocket does, keeps that one, which takes no others."""
    shell(SERVER, "head -c 60000 /dev/zero >/var/www/slow")
    file = "server {{ listen 8099; root /var/www; limit_rate 1000; }} # {}\n"
    resources = [
        (File(NGINX_EXTRA, file.format(number)), Service("nginx", (NGINX_EXTRA,), "reload", "nginx -t", "kinds"))
        for number in ("one", "two")
    ]
    apply(*resources[0])
    address = f"http://10.213.0.{10 + int(SERVER.removeprefix('lab'))}:8099/slow"
    client = subprocess.Popen(["curl", "-s", "-m", "60", "-o", "/dev/null", address])
    try:
        time.sleep(1)
        answer = apply(*resources[1])
        assert (answer.error, client.poll()) == (None, None)
        assert "shutting down" in shell(SERVER, f"for one in $({WORKERS}); do cat /proc/$one/cmdline; done")
    finally:
        client.kill()
        client.wait()
        shell(SERVER, f"rm /var/www/slow {NGINX_EXTRA}; nginx -s reload")


def test_the_number_of_resources_does_not_change_the_round_trips(apply: Apply, folder: str) -> None:
    many = tuple(File(f"{folder}/{number}", f"content of {number}\n") for number in range(100))
    mixed = (*many, Directory(folder), Absent(f"{folder}/none"), Service("nginx"), Packages("one", ("curl",)))
    assert apply(*mixed[:1]).execs == 3
    assert apply(*mixed[:1]).execs == 2
    created = apply(*mixed)
    assert (len(ids(created)), created.execs) == (99, 3)
    again = apply(*mixed)
    assert (ids(again), again.ok, again.execs) == ([], 104, 2)


@pytest.fixture(scope="module")
def elsewhere(site: Site) -> Controller:
    """The same server in Berlin, with three authorities of its own, of which the last signed the ACME authority's API."""
    bundle = (ROOT / "tests/unit/ca.pem").read_text() + (LAB / "acme-api-ca.pem").read_text()
    site.controller.inventory.with_name("ca.pem").write_text(bundle)
    text = "timezone: Europe/Berlin\nlocale: en_US.UTF-8\nmirrors: {ca_bundle: ca.pem}\n"
    assert lab.shell(SERVER, f"curl -sS {acme.DIRECTORY}").returncode == 60
    return site.controller.with_text(site.controller.inventory.read_text() + text, "elsewhere")


def provision(controller: Controller, *options: str) -> list[str]:
    answer = controller("provision", SERVER, "--json", *options)
    assert answer.status == 0, answer.stdout + answer.stderr
    return answer.changed(SERVER)


def test_a_time_zone_and_a_locale_are_there_for_whoever_logs_in(elsewhere: Controller) -> None:
    assert provision(elsewhere) == [
        "packages:base",
        "link:/etc/localtime",
        "file:/etc/timezone",
        "locale:en_US.UTF-8",
        "file:/etc/default/locale",
        "authorities:mirrors",
    ]
    assert provision(elsewhere, "--plan") == []
    login = "su - admin -c 'date -d @0 +%H:%M%z; locale height; echo $LANG'"
    assert shell(SERVER, f"cat /etc/timezone; {login}").split() == ["Europe/Berlin", "01:00+0100", "279", "en_US.UTF-8"]


TRUSTING = (
    f"curl -sSf {acme.DIRECTORY}",
    f"git ls-remote {acme.DIRECTORY} 2>&1 | grep 'not found'",
    f"/opt/pyenv/versions/*/bin/python -c 'import urllib.request; urllib.request.urlopen(\"{acme.DIRECTORY}\")'",
    "openssl verify -no-CAfile -CApath /etc/ssl/certs /usr/local/share/ca-certificates/provision-*",
)


@pytest.mark.parametrize(
    "hand",
    [
        "rm /etc/ssl/certs/provision-*.pem && update-ca-certificates --certsconf /dev/null --localcertsdir /nowhere",
        "find /etc/ssl/certs -lname 'provision-*' -delete",
    ],
    ids=["not in the bundle", "not in the folder"],
)
def test_each_authority_of_the_mirrors_is_trusted_by_all_programs_and_again_after_what_a_hand_did(
    elsewhere: Controller, hand: str
) -> None:
    for program in TRUSTING:
        shell(SERVER, program)
    shell(SERVER, hand)
    assert provision(elsewhere, "--plan") == provision(elsewhere) == ["authorities:mirrors"]
    assert provision(elsewhere, "--plan") == []
    for program in TRUSTING:
        shell(SERVER, program)


def test_an_authority_that_the_inventory_names_no_longer_is_not_trusted(elsewhere: Controller, site: Site) -> None:
    assert "authorities:mirrors" in site.deploy().changed(SERVER)
    assert lab.shell(SERVER, f"curl -sS {acme.DIRECTORY}").returncode == 60
    assert shell(SERVER, "find /etc/ssl/certs /usr/local/share/ca-certificates -name 'provision*' -o -xtype l") == ""


def test_the_server_is_as_the_inventory_says_after_all_of_this(site: Site) -> None:
    assert (site.plan().status, status()) == (0, "200")
    failed = shell(SERVER, "systemctl list-units --failed --no-legend --plain")
    assert failed == ""
