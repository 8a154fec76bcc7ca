from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import facts
from provision.engine.facts import SYSTEM, Facts
from provision.errors import PlanError, ProbeError
from provision.release.facts import MANAGED, PREVIEWS, PUSHED, RELEASES, ManagedFile, PreviewedRelease, ServerRelease
from provision.resources.python import BUILT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def output(system: str = "debian", version: str = "12", init: str = "systemd", more: str = "") -> str:
    return (
        f"system\tsystem={system}\tversion={version}\tinit={init}\tarchitecture=x86_64\tcpus=4\tmemory=2048"
        f"\tlogin=deployer\thome=/home/deployer\tnow=1795302300\n{more}end\nend\n"
    )


def parse(text: str) -> Facts:
    return facts.parse(text, roles.FACTS)


@pytest.mark.parametrize(
    ("system", "version"),
    [
        ("debian", "11"),
        ("debian", "12"),
        ("debian", "13"),
        ("ubuntu", "22.04"),
        ("ubuntu", "24.04"),
        ("ubuntu", "26.04"),
    ],
)
def test_a_supported_system_is_accepted(system: str, version: str) -> None:
    assert parse(output(system, version))[SYSTEM].distribution == f"{system}{version}"


@pytest.mark.parametrize(
    ("system", "version"),
    [
        ("debian", "10"),
        ("debian", ""),
        ("ubuntu", "20.04"),
        ("ubuntu", "21.10"),
        ("alpine", "3.22.1"),
        ("centos", "7"),
        ("unknown", ""),
    ],
)
def test_another_system_is_refused_with_what_is_supported(system: str, version: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(output(system, version))
    assert str(caught.value) == f"{system} {version} is not supported: Debian 11 to 13, Ubuntu 22.04 and newer are"


def test_a_server_without_systemd_is_refused() -> None:
    with pytest.raises(PlanError, match="the init system is tini, not systemd") as caught:
        parse(output(init="tini"))
    assert "\n" not in str(caught.value)


def test_an_answer_without_an_end_is_not_used() -> None:
    with pytest.raises(ProbeError, match=r"ended early; the last line it printed: system"):
        parse(output().removesuffix("end\nend\n"))
    with pytest.raises(ProbeError, match=r"the last line it printed: none"):
        parse("")


def test_facts_have_units_and_a_time_zone() -> None:
    found = parse(output())
    assert (found[SYSTEM].cpus, found[SYSTEM].memory) == (4, 2 * 1024**2)
    assert found[SYSTEM].now == datetime(2026, 11, 21, 23, 5, tzinfo=UTC)
    assert (found[SYSTEM].login, found[SYSTEM].home) == ("deployer", "/home/deployer")
    assert (found[BUILT], found[RELEASES], found[MANAGED]) == (frozenset(), (), ())


def test_facts_name_the_pythons_and_the_releases_and_which_is_active() -> None:
    found = parse(
        output(
            more="python\tname=3.13.5\npython\tname=3.12.1-optimized\n"
            "release\tapp=shop\tid=one\tcommit=abc\tfolder=.\tstate=good\n"
            "release\tapp=shop\tid=two\tcommit=def\tfolder=app\tstate=active\n"
            "release\tapp=blog\tid=one\tcommit=abc\tfolder=.\tstate=new\n"
        )
    )
    assert found[BUILT] == {"3.13.5", "3.12.1-optimized"}
    assert found[RELEASES] == (
        ServerRelease("shop", "one", "abc", ".", "good"),
        ServerRelease("shop", "two", "def", "app", "active"),
        ServerRelease("blog", "one", "abc", ".", "new"),
    )
    assert [one.active for one in found[RELEASES]] == [False, True, False]


def test_facts_name_the_files_of_ours_with_their_apps_and_what_is_held() -> None:
    found = parse(
        output(
            more="managed\tapp=shop\tpath=/etc/systemd/system/shop@.service\nmanaged\tapp=shop-a\tpath=/etc/cron.d/shop-a-tidy\n"
            "preview\tapp=shop\trelease=two\ttoken=abc\npreview\tapp=blog\trelease=one\ttoken=def\n"
        )
    )
    assert found[MANAGED] == (
        ManagedFile("shop", "/etc/systemd/system/shop@.service"),
        ManagedFile("shop-a", "/etc/cron.d/shop-a-tidy"),
    )
    assert found[PREVIEWS] == {"shop": PreviewedRelease("two", "abc"), "blog": PreviewedRelease("one", "def")}
    assert parse(output())[PREVIEWS] == {}


@pytest.fixture
def server(tmp_path: Path, sh: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[], Facts]:
    """The facts of a server whose system, Pythons and apps are in the test's folder, read by the real script."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc" / "os-release").write_text('ID=ubuntu\nVERSION_ID="24.04"\n')

    def read() -> Facts:
        ran = sh(facts.script(roles.FACTS))
        assert (ran.returncode, ran.stderr) == (0, "")
        return parse(ran.stdout)

    return read


def test_the_script_reads_a_bare_server(server: Callable[[], Facts]) -> None:
    found = server()
    assert found[SYSTEM].distribution == "ubuntu24.04"
    assert found[SYSTEM].cpus >= 1
    assert found[SYSTEM].memory > 64 * 1024**2
    assert abs((found[SYSTEM].now - datetime.now(UTC)).total_seconds()) < 60
    assert Path(found[SYSTEM].home).is_absolute()
    assert (found[BUILT], found[RELEASES], found[MANAGED], found[PREVIEWS]) == (frozenset(), (), (), {})


def test_the_script_finds_only_what_is_complete(server: Callable[[], Facts], tmp_path: Path) -> None:
    for name in ("3.13.5", "3.12.1"):
        (tmp_path / "opt/pyenv/versions" / name).mkdir(parents=True)
    (tmp_path / "opt/pyenv/versions" / "3.13.5" / ".provision").touch()
    releases = tmp_path / "srv" / "shop" / "releases"
    for name in ("one", "two"):
        (releases / name).mkdir(parents=True)
    (releases / "two" / ".release").write_text("def\tsub folder/app\n")
    (tmp_path / "var/lib/provision/apps/shop").mkdir(parents=True)
    found = server()
    assert found[BUILT] == {"3.13.5"}
    assert found[RELEASES] == (ServerRelease("shop", "two", "def", "sub folder/app", "new"),)


def test_a_release_is_active_by_the_link_and_else_what_its_record_says(
    server: Callable[[], Facts], tmp_path: Path
) -> None:
    releases, records = (tmp_path / each / "shop" / "releases" for each in ("srv", "var/lib/provision/apps"))
    records.mkdir(parents=True)
    for name in ("a", "b", "c", "d"):
        (releases / name).mkdir(parents=True)
        (releases / name / ".release").write_text("abc\t.\n")
    (releases.parent / "current").symlink_to("releases/d")
    for name, state in (("a", "good"), ("b", "failed"), ("d", "failed")):
        (records / name).write_text(f"{state}\t2026-11-21T23:05:00Z\tjo@desk\n")
    states = [(one.id, one.state) for one in server()[RELEASES]]
    assert states == [("a", "good"), ("b", "failed"), ("c", "new"), ("d", "active")]


@pytest.mark.parametrize("record", ["held", "dropped"])
def test_a_release_that_was_held_and_never_served_is_new(
    record: str, server: Callable[[], Facts], tmp_path: Path
) -> None:
    """So no rollback goes there."""
    release, records = (
        tmp_path / "srv" / "shop" / "releases" / "a",
        tmp_path / "var/lib/provision" / "apps" / "shop" / "releases",
    )
    for folder in (release, records):
        folder.mkdir(parents=True)
    (release / ".release").write_text("abc\t.\n")
    (records / "a").write_text(f"{record}\t2026-11-21T23:05:00Z\tjo@desk\n")
    assert [one.state for one in server()[RELEASES]] == ["new"]


def test_the_script_finds_the_files_of_ours_by_their_first_line(server: Callable[[], Facts], tmp_path: Path) -> None:
    def write(path: str, content: str) -> str:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
        return f"/{path}"

    ours = [
        ("shop", write("etc/systemd/system/shop@.service", "# provision: shop. One slot runs one release.\n[Unit]\n")),
        ("shop", write("etc/systemd/system/shop@blue.socket", "# provision: shop. The socket of one slot.\n[Unit]\n")),
        ("shop", write("etc/systemd/system/shop-tidy.timer", "# provision: shop. When tidy runs.\n[Unit]\n")),
        ("shop-a", write("etc/supervisor/conf.d/shop-a.conf", "; provision: shop-a. At boot.\n[program:shop-a]\n")),
        ("blog", write("etc/cron.d/blog-tidy", "# provision: blog. When tidy runs.\nSHELL=/bin/sh\n")),
    ]
    write("etc/systemd/system/own.service", "[Unit]\n# provision: shop. Not in the first line.\n")
    write("etc/supervisor/conf.d/own.conf", "; someone's own\n")
    write("etc/cron.d/.placeholder", "# provision: shop. Hidden.\n")
    write("etc/cron.d/own", "")
    write("etc/systemd/system/shop.path", "# provision: shop. Of another kind.\n")
    (tmp_path / "etc" / "systemd" / "system" / "alias.service").symlink_to("/nowhere")
    assert sorted((file.app, file.path) for file in server()[MANAGED]) == sorted(ours)


def test_the_script_finds_what_is_held_and_its_token(server: Callable[[], Facts], tmp_path: Path) -> None:
    for app, slot, release in (("shop", "green", "two"), ("blog", "blue", "one")):
        (tmp_path / "var/lib/provision/apps" / app).mkdir(parents=True)
        (tmp_path / "run" / app / "preview").mkdir(parents=True)
        (tmp_path / "run" / app / "preview" / f"token-of-{app}").touch()
        (tmp_path / "run" / app / "held").write_text(f"{slot}\n")
        (tmp_path / "etc" / app / slot).mkdir(parents=True)
        (tmp_path / "etc" / app / slot / "release").symlink_to(f"/srv/{app}/releases/{release}")
    (tmp_path / "run" / "other").mkdir()
    assert server()[PREVIEWS] == {
        "shop": PreviewedRelease("two", "token-of-shop"),
        "blog": PreviewedRelease("one", "token-of-blog"),
    }


def test_folders_of_other_names_may_have_anything_in_them(server: Callable[[], Facts], tmp_path: Path) -> None:
    """Below /run and /srv there are folders that others can write to: /run/lock, a database's, an FTP server's."""
    for folder in (
        "run/lock",
        "run/postgresql/preview",
        "srv/ftp/releases/one",
        "srv/ftp/repository.git/refs/provision",
    ):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("run/lock/held", "run/postgresql/held", "srv/ftp/releases/one/.release"):
        os.mkfifo(tmp_path / path)
    os.mkfifo(tmp_path / "srv/ftp/repository.git/refs/provision/pushed")
    found = server()
    assert (found[RELEASES], found[PREVIEWS], found[PUSHED]) == ((), {}, {})
