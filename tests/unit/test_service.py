from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.engine.resource import State
from provision.resources import service
from provision.resources.certificate import Certificate, Placeholder
from provision.resources.file import Directory, File, Link
from provision.resources.file_set import FileSet
from provision.resources.service import Service
from tests.unit.conftest import planned as earlier

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


CONFIGURATION, SITE = "/etc/nginx/nginx.conf", "/etc/nginx/sites-enabled/shop.conf"
NGINX = Service("nginx", (File.ref_to(CONFIGURATION), Link.ref_to(SITE)), "reload", "nginx -t")
KEYS = ("active", "enabled", "reload", "stamp")
RIGHT = ("active", "enabled", "no", "loaded")


def summary(resource: Service, *row: str, before: tuple[str, ...] = ()) -> str | None:
    change = resource.plan(State.of(dict(zip(KEYS, row, strict=True))) if row else State(), earlier(*before))
    assert change is None or change.id == str(resource.ref)
    return change.summary if change else None


def test_a_service_is_right_when_it_is_enabled_runs_and_has_loaded_its_configuration() -> None:
    assert summary(NGINX, *RIGHT) is None


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((), "nginx: enable, start"),
        (("inactive", "", "no", "none"), "nginx: enable, start"),
        (("failed", "enabled", "no", "loaded"), "nginx: start"),
        (("active", "disabled", "no", "loaded"), "nginx: enable"),
        (("reloading", "enabled", "no", "loaded"), None),
        (("active", "enabled", "no", "none"), "nginx: reload (its configuration changed since it was loaded)"),
        (("active", "enabled", "yes", "loaded"), "nginx: reload (its unit changed)"),
    ],
)
def test_a_service_says_what_it_needs(row: tuple[str, ...], expected: str | None) -> None:
    assert summary(NGINX, *row) == expected


def test_a_run_killed_before_the_reload_reloads_next_time() -> None:
    """The files are right by then, so no change of theirs is planned before: only the stamp tells."""
    killed = ("active", "enabled", "no", "changed")
    assert summary(NGINX, *killed) == "nginx: reload (its configuration changed since it was loaded)"


def test_a_service_reads_the_files_of_a_set_that_it_watches() -> None:
    files = FileSet("nginx", (File(CONFIGURATION, ""), Link(SITE, "")), "nginx -t")
    service = Service("nginx", (files.ref,), "reload", "nginx -t", reads=files.paths)
    assert service.probe().item == ("nginx", "nginx", f"{CONFIGURATION} {SITE}")
    assert summary(service, *RIGHT, before=("files:nginx",)) == "nginx: reload (files:nginx)"


def test_a_service_reloads_for_the_files_that_are_about_to_change() -> None:
    file, link = File(CONFIGURATION, ""), Link(SITE, "")
    assert summary(NGINX, *RIGHT, before=(str(file.ref),)) == f"nginx: reload ({CONFIGURATION})"
    assert summary(NGINX, *RIGHT, before=(str(link.ref), str(file.ref))) == f"nginx: reload ({CONFIGURATION}, {SITE})"
    assert summary(NGINX, *RIGHT, before=("file:/etc/nginx/nginx.conf.d", "packages:nginx")) is None


def test_a_service_that_does_not_run_is_started_not_reloaded() -> None:
    assert summary(NGINX, "inactive", "enabled", "no", "changed", before=(f"file:{CONFIGURATION}",)) == "nginx: start"


def test_a_service_reloads_for_a_certificate_that_is_about_to_move() -> None:
    link = "/etc/ssl/provision/shop"
    certificates = Service(
        "nginx", (Placeholder.ref_to("shop"), Certificate.ref_to("shop")), "reload", stamp="nginx-certificates"
    )
    for resource in (Placeholder("shop", ()), Certificate("shop", (), "", "", "")):
        assert summary(certificates, *RIGHT, before=(str(resource.ref),)) == f"nginx: reload ({link})"


def test_a_change_of_another_kind_with_the_same_name_is_none_of_its_business() -> None:
    assert summary(NGINX, *RIGHT, before=(f"link:{CONFIGURATION}", f"file:{SITE}")) is None


def test_a_service_that_watches_nothing_needs_no_stamp() -> None:
    assert summary(Service("certbot.timer"), "active", "enabled", "no", "none") is None


def test_a_change_of_configuration_restarts_unless_it_is_told_to_reload() -> None:
    one = Service("one", (File.ref_to("/etc/one"),))
    assert summary(one, *RIGHT, before=("file:/etc/one",)) == "one: restart (/etc/one)"


def test_two_resources_of_one_unit_differ_in_their_stamp() -> None:
    other = Service("nginx", (Directory.ref_to("/etc/ssl"),), "reload", stamp="nginx-certificates")
    assert (str(NGINX.ref), str(other.ref)) == ("service:nginx", "service:nginx-certificates")
    assert other.probe().item == ("nginx", "nginx-certificates", "/etc/ssl")


def test_the_stamp_is_another_one_once_a_file_was_replaced_or_a_link_moved(
    tmp_path: Path, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def stamp() -> str:
        return str(call([service], f"service_stamp '{tmp_path}/file' '{tmp_path}/link' '{tmp_path}/missing'").stdout)

    (tmp_path / "file").write_text("same")
    (tmp_path / "link").symlink_to("file")
    first = stamp()
    assert len(first.splitlines()) == 2
    assert stamp() == first
    (tmp_path / "new").write_text("same")
    (tmp_path / "new").rename(tmp_path / "file")
    second = stamp()
    assert second != first
    (tmp_path / "new").symlink_to("elsewhere")
    (tmp_path / "new").rename(tmp_path / "link")
    assert stamp() not in (first, second)


def test_a_configuration_that_its_check_refuses_is_not_loaded(
    call: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    change = Service("nginx", (File.ref_to(CONFIGURATION),), "reload", "echo line 3 is wrong; false").plan(State(), {})
    assert change is not None
    ran = call([service], change.script)
    assert ran.returncode == 1
    assert ran.stdout.startswith("line 3 is wrong\nerror: nginx goes on with the configuration that it has")


def test_the_probe_of_many_services_asks_once(
    observe: Callable[..., tuple[State, ...]], root: Path, stand_in: Callable[[str, str], Path]
) -> None:
    """systemd is not asked here: what stands for systemctl answers as it does, and counts."""
    stand_in(
        "systemctl",
        f"echo called >>'{root}/calls'\n"
        "printf 'UnitFileState=enabled\\nActiveState=active\\nNeedDaemonReload=no\\n\\n'\n"
        "printf 'ActiveState=inactive\\nUnitFileState=\\nNeedDaemonReload=no\\n'",
    )
    states = observe(Service("one"), Service("two", (File.ref_to("/etc/two"),)))
    assert states == tuple(
        State.of(dict(zip(KEYS, row, strict=True)))
        for row in (("active", "enabled", "no", "none"), ("inactive", "", "no", "none"))
    )
    assert (root / "calls").read_text() == "called\n"


def test_one_load_is_noted_for_both_resources_of_a_unit(
    call: Callable[..., subprocess.CompletedProcess[str]], stand_in: Callable[[str, str], Path], root: Path
) -> None:
    """What changes while the unit loads is not noted as loaded."""
    for name in ("site", "certificate"):
        (root / name).write_text("old")
    stand_in("systemctl", f"case $1 in is-active) exit 1;; start) echo more >>{root}/certificate;; esac")
    read = Service("nginx", (File.ref_to(f"{root}/certificate"),), "reload", stamp="nginx-certificates")
    both = Service("nginx", (File.ref_to(f"{root}/site"),), "reload", also=read)
    change = both.plan(State(), {})
    assert change is not None
    stamps = root / "var/lib/provision/stamps"
    stamps.mkdir(parents=True)
    done = call([service], f'before=$(service_stamp {root}/certificate)\n{change.script}\necho "$before"')
    assert done.returncode == 0, done.stderr
    assert {path.name for path in stamps.iterdir()} == {"nginx", "nginx-certificates"}
    assert (stamps / "nginx-certificates").read_text() == done.stdout
