"""`hardening`: system and updates, as tables of resources, and what the kinds that they are made of plan."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine.resource import State
from provision.errors import InventoryError
from provision.resources.dropin import DropIn, Timer
from provision.resources.integrity import Integrity
from provision.resources.kernel import Kernel, Setting
from provision.resources.modules import ForbiddenModules
from provision.resources.swap import GIB, NoSwap, Swap
from provision.resources.timesync import TimeSync
from provision.roles.auditing import FILES, PLACES, TIMER, auditing
from provision.roles.system import system
from provision.roles.updates import restarts, settings, updates
from tests.unit.tables import HOST, TWO, ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

SUM = hashlib.sha256(b"a\n").hexdigest()
PTRACE = Setting("kernel/yama/ptrace_scope", "1", ("2", "3"))
REDIRECTS = Setting("net/ipv4/conf/*/accept_redirects", "0")
KERNEL = Kernel("/etc/sysctl.d/zz-provision.conf", (PTRACE, REDIRECTS))
NONE = {"file": "no", "content": ""}


def test_a_server_that_never_had_it_and_is_not_to_have_it_is_not_even_asked(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    known = make_known()
    assert (*system(make_host(), *known), *updates(make_host(), *known)) == ()


def test_a_server_without_the_role_base_has_it_too(make_host: MakeHost, make_known: MakeFacts) -> None:
    host = make_host(f"{HOST}roles: [python]\nhardening: {{system: true, updates: true}}\n")
    found = ids(roles.server(host, *make_known()))
    assert {"kernel:/etc/sysctl.d/zz-provision.conf", "dropin:/etc/apt/apt.conf.d/zz-provision"} <= {*found}
    assert len(found) == len({*found})


def test_what_is_there_and_not_asked_for_goes(make_host: MakeHost, make_known: MakeFacts) -> None:
    known = make_known(hardened=("system", "updates"))
    found = (*system(make_host(), *known), *updates(make_host(), *known))
    assert all(isinstance(one, Kernel | ForbiddenModules | DropIn | NoSwap | Timer) for one in found)
    (gone,) = auditing(make_host(), make_known(hardened=("auditing",))[0])
    assert gone == Integrity(PLACES.integrity_state, TIMER, tuple(FILES.items()), wanted=False)
    assert {one.content for one in found if isinstance(one, DropIn)} == {""}
    assert [one.settings for one in found if isinstance(one, Kernel)] == [()]


def test_all_of_it_is_asked_for_in_a_word(make_host: MakeHost, make_known: MakeFacts) -> None:
    host, known = make_host(f"{TWO}hardening: {{all: true, system: false}}\n"), make_known()
    assert system(host, *known) == ()
    assert ids(updates(host, *known))[0] == "packages:updates"


def record(name: str, now: str, can: str = "yes") -> dict[str, str]:
    return {"name": name, "now": now, "can": can}


def test_values_that_differ_are_set_and_a_stricter_one_stays() -> None:
    state = State.of(NONE, record(PTRACE.name, "3"), record("net/ipv4/conf/eth0.7/accept_redirects", "1"))
    change = KERNEL.plan(state, {})
    assert change is not None
    assert "kernel_set net/ipv4/conf/eth0.7/accept_redirects=0\n" in change.script
    assert "+net.ipv4.conf.*.accept_redirects = 0" in change.diff
    assert "ptrace" not in change.diff


def test_what_nobody_can_set_is_named_and_not_claimed() -> None:
    state = State.of(NONE, record(PTRACE.name, "0", "no"), record("net/ipv4/conf/all/accept_redirects", "0"))
    change = KERNEL.plan(state, {})
    assert change is not None
    assert "ptrace" not in change.diff
    (finding,) = KERNEL.findings(state, {KERNEL.ref: change})
    assert finding.what == "this server's kernel lets nobody on it set kernel.yama.ptrace_scope"
    assert KERNEL.findings(state, {}) == ()


def test_without_settings_values_go_back_to_what_they_were() -> None:
    state = State.of({"file": "yes", "content": "YQo="}, record(PTRACE.name, "1"), {"name": PTRACE.name, "was": "0"})
    change = Kernel(KERNEL.path, ()).plan(state, {})
    assert change is not None
    assert change.summary == f"kernel: kernel.yama.ptrace_scope 1 -> 0, remove {KERNEL.path}"
    assert "kernel_back kernel/yama/ptrace_scope\n" in change.script


def test_the_values_of_a_kernel_are_read_noted_set_and_put_back(
    root: Path,
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., subprocess.CompletedProcess[str]],
    owners: Callable[[], list[str]],
) -> None:
    live = {"kernel/yama/ptrace_scope": "0", "net/ipv4/conf/lo/accept_redirects": "1"}
    for name, value in live.items():
        path = root / "proc/sys" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"{value}\n")
    (root / "etc/sysctl.d").mkdir(parents=True)
    (root / "var/lib/provision").mkdir(parents=True)

    def now() -> list[str]:
        return [(root / "proc/sys" / name).read_text().strip() for name in live]

    for wanted, then in ((KERNEL, ["1", "0"]), (Kernel(KERNEL.path, ()), ["0", "1"])):
        assert make(wanted.plan(observe(wanted)[0], {})).returncode == 0
        assert now() == then
        assert wanted.plan(observe(wanted)[0], {}) is None
        assert (root / KERNEL.path[1:]).exists() == bool(wanted.settings)
    assert list((root / "var/lib/provision").iterdir()) == []


def test_a_module_that_is_in_use_stays_and_the_others_are_not_loaded(
    root: Path,
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., subprocess.CompletedProcess[str]],
    owners: Callable[[], list[str]],
) -> None:
    for folder in ("etc/modprobe.d", "proc", "var/lib/provision"):
        (root / folder).mkdir(parents=True)
    (root / "proc/modules").write_text("usb_storage 90112 1 uas, Live 0x0\nsctp_diag 16384 0 - Live 0x0\n")
    wanted = ForbiddenModules("/etc/modprobe.d/zz-provision.conf", ("sctp", "usb-storage"))
    change = wanted.plan(observe(wanted)[0], {})
    assert change is not None
    assert "usb_storage: loaded, and stays" in change.summary
    assert make(change).returncode == 0
    lines = (root / wanted.path[1:]).read_text().splitlines()
    assert lines[1:] == ["blacklist sctp", "install sctp /bin/false"]
    assert wanted.plan(observe(wanted)[0], {}) is None
    gone = ForbiddenModules(wanted.path)
    assert make(gone.plan(observe(gone)[0], {})).returncode == 0
    assert not (root / wanted.path[1:]).exists()
    assert gone.plan(observe(gone)[0], {}) is None


INTEGRITY = Integrity("/var/lib/x", "x.timer", (("/etc/x.conf", "a\n"),))


@pytest.mark.parametrize(
    ("sha256", "enabled", "active", "what"),
    [
        ("", "disabled", "inactive", "write /etc/x.conf"),
        ("other", "enabled", "active", "write /etc/x.conf"),
        (SUM, "enabled", "inactive", "enable and start x.timer"),
        (SUM, "enabled", "active", ""),
    ],
)
def test_the_daily_look_at_files_is_there_runs_and_is_as_it_should_be(
    sha256: str, enabled: str, active: str, what: str
) -> None:
    files = ({"path": "/etc/x.conf", "sha256": sha256, "there": "yes"},) if sha256 else ()
    change = INTEGRITY.plan(State.of(*files, {"enabled": enabled, "active": active}), {})
    assert (change.summary.rpartition(": ")[2] if change else "") == what


def test_a_drop_in_that_was_not_read_before_a_kill_is_read_next_time() -> None:
    one = DropIn("/etc/x.d/a.conf", "a\n", "systemctl restart x")
    there = {
        "type": "regular file",
        "mode": "644",
        "owner": "root",
        "group": "root",
        "value": one._thing.probe().item[1],
    }
    assert one.plan(State.of(there), {}) is None
    change = one.plan(State.of(there, {"unread": "yes"}), {})
    assert change is not None
    assert change.summary == "/etc/x.d/a.conf: systemctl restart x"


@pytest.mark.parametrize(
    ("state", "summary"),
    [
        ((), "install systemd-timesyncd"),
        (({"daemon": "chrony"},), None),
        (({"daemon": "systemd-timesyncd"}, {"active": "active"}), None),
        (({"daemon": "systemd-timesyncd"}, {"active": "inactive"}), "systemd-timesyncd: start"),
        (({"container": "lxc"},), None),
    ],
)
def test_one_program_sets_the_clock(state: tuple[dict[str, str], ...], summary: str | None) -> None:
    change = TimeSync().plan(State.of(*state), {})
    assert (change.summary if change else None) == summary


def test_swap_that_need_not_be_is_left_out_of_a_container_and_of_a_full_disk() -> None:
    swap = Swap(GIB, "/swapfile.provision", optional=True)
    nothing = {"content": "none", "active": "no", "other": "", "unit": "no", "room": str(GIB)}
    assert swap.plan(State.of({**nothing, "container": "lxc"}), {}) is None
    full = State.of({**nothing, "container": ""})
    assert swap.plan(full, {}) is None
    assert [one.what for one in swap.findings(full, {})] == [
        "no swap file: 2048 MiB of free disk are needed, and 1024 MiB are free"
    ]


def test_the_server_reboots_at_the_named_time_and_otherwise_not_at_all() -> None:
    assert 'Automatic-Reboot-Time "04:00"' in settings("04:00")
    assert 'Automatic-Reboot "false"' in settings(None)


def test_needrestart_never_restarts_an_apps_units() -> None:
    program = "our %nrconf; eval do { local $/; <STDIN> }; die $@ if $@; print join ' ', grep { my $n = $_; grep { $n =~ /$_/ } keys %{$nrconf{override_rc}} } @ARGV"
    names = (
        "shop@blue.service",
        "shop-worker@green.service",
        "shopping.service",
        "nginx.service",
        "supervisor.service",
    )
    ran = subprocess.run(("perl", "-e", program, *names), input=restarts(("shop",)), capture_output=True, text=True)
    assert (ran.stdout.split(), ran.stderr) == ([names[0], names[1], names[4]], "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{updates: true, reboot: 4}", '4 is not a time of day; write for example "04:00"'),
        ('{updates: true, reboot: "25:00"}', "25:00 is not a time of day"),
        ('{reboot: "04:00"}', "reboot is for updates, and there are none: write updates: true, or remove reboot"),
    ],
)
def test_a_reboot_has_a_time_and_needs_updates(make_host: MakeHost, text: str, said: str) -> None:
    with pytest.raises(InventoryError) as refused:
        make_host(f"{HOST}hardening: {text}\n")
    assert said in str(refused.value)


def test_a_drop_ins_folder_and_its_note_go_with_it(
    root: Path,
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., subprocess.CompletedProcess[str]],
    owners: Callable[[], list[str]],
) -> None:
    (root / "var/lib/provision/found").mkdir(parents=True)
    path = root / "etc/x.d/a.conf"
    (root / "etc").mkdir()
    killed, read = (DropIn(str(path), "a\n", then) for then in ("false", f"cp {path} {root}/read"))
    assert make(killed.plan(observe(killed)[0], {})).returncode != 0
    assert observe(read)[0]["unread"] == "yes"
    assert make(read.plan(observe(read)[0], {})).returncode == 0
    assert (root / "read").read_text() == "a\n"
    assert observe(read)[0]["unread"] == ""
    gone = DropIn(str(path), "")
    assert make(gone.plan(observe(gone)[0], {})).returncode == 0
    assert not path.parent.exists()
    assert gone.plan(observe(gone)[0], {}) is None


def test_a_timer_is_enabled_and_put_back(
    root: Path,
    observe: Callable[..., tuple[State, ...]],
    make: Callable[..., subprocess.CompletedProcess[str]],
    stand_in: Callable[[str, str], Path],
    owners: Callable[[], list[str]],
) -> None:
    (root / "var/lib/provision").mkdir(parents=True)
    stand_in(
        "systemctl",
        f"case $1 in is-enabled) echo disabled; exit 1 ;; is-active) echo inactive; exit 3 ;; show) echo ActiveState=active; echo UnitFileState=enabled; exit ;; esac; echo $* >>{root}/did",
    )
    on, off = Timer("a.timer"), Timer("a.timer", False)
    assert off.plan(observe(off)[0], {}) is None
    assert on.plan(observe(on)[0], {}) is None
    assert make(on.plan(State.of({"enabled": "disabled", "active": "inactive"}), {})).returncode == 0
    change = off.plan(observe(off)[0], {})
    assert change is not None
    assert change.summary == "a.timer: disabled inactive, as it was"
    assert make(change).returncode == 0
    assert (root / "did").read_text().splitlines() == [
        "enable --quiet --now a.timer",
        "disable --quiet a.timer",
        "stop a.timer",
    ]
    assert off.plan(observe(off)[0], {}) is None
