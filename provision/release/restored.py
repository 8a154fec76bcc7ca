"""The toolkit leaves a server, part by part: what of each there is, and how the server gets back what it had before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provision.engine.access import confirmed
from provision.engine.layout import TOOLKIT
from provision.engine.resource import Change, Finding, Probe, Record, Ref, State
from provision.engine.shell import joined, words
from provision.release import shell
from provision.release.uninstall import THING
from provision.resources import (
    certificate,
    dropin,
    egress,
    fail2ban,
    file_set,
    integrity,
    kernel,
    nginx_sandbox,
    notice,
    package,
    packet_filter,
    python,
    sshd,
    swap,
    trust,
)
from provision.untrusted import line as shown
from provision.untrusted import word

LIBRARY = joined(
    certificate.LIBRARY,
    dropin.LIBRARY,
    egress.LIBRARY,
    file_set.LIBRARY,
    integrity.LIBRARY,
    kernel.LIBRARY,
    nginx_sandbox.LIBRARY,
    notice.LIBRARY,
    package.LIBRARY,
    packet_filter.LIBRARY,
    python.LIBRARY,
    sshd.LIBRARY,
    swap.LIBRARY,
    trust.LIBRARY,
    f"{shell.LIBRARY}{shell.text('restored')}",
)


ACCESS = (sshd.PATH, sshd.KEYS, *packet_filter.PATHS, egress.FOLDER, egress.UNIT, egress.AT_BOOT, fail2ban.JAIL)


def _list(things: Sequence[Record]) -> str:
    return ", ".join(each["thing"] for each in things)


def _paths(things: Sequence[Record]) -> str:
    gone, back = (
        _list([each for each in things if "back" not in each]),
        _list([each for each in things if "back" in each]),
    )
    said = (f"remove {gone}" if gone else "", f"put back {back} as it was" if back else "")
    return "; ".join(filter(None, said))


def _packages(things: Sequence[Record]) -> str:
    needed = sum("needed" in each for each in things)
    asked = ", ".join(each["thing"].replace(":", " ") for each in things if "needed" not in each)
    what = " and ".join(filter(None, (asked, f"{needed} more that they brought" if needed else "")))
    return f"remove the packages that came with this toolkit: {what}"


# By part, in the order in which they go: what a plan says of its things, and whether the shell function is told of them.
PARTS: dict[str, tuple[Callable[[Sequence[Record]], str], bool]] = {
    "access": (lambda things: f"sshd, firewall: {_paths(things)}, if a new login succeeds then", False),
    "site": (lambda things: f"nginx: {_paths(things)}", False),
    "certificate": (_paths, False),
    "authority": (lambda things: f"trust {len(things)} of mirrors.ca_bundle no longer", False),
    "python": (_paths, True),
    "system": (lambda things: f"hardening: {_paths(things)}", False),
    "settings": (_paths, False),
    "packages": (_packages, True),
    "units": (_paths, True),
    "record": (lambda things: f"forget this server: {_paths(things)}", False),
}


@dataclass(frozen=True, slots=True)
class Restored:
    """Of one part, the server has what it had before this toolkit came. `apps` are those that leave with it; `foreign` is a file of
    somebody else's site in nginx, if there is one.
    """

    part: str
    apps: tuple[str, ...] = ()
    foreign: str = ""
    with_data: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("restored", self.part)

    def probe(self) -> Probe:
        return Probe(
            "restored_probe",
            LIBRARY,
            (self.part, self.foreign or "-", " ".join(self.apps), "yes" if self.with_data else "no"),
        )

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        things = [each for each in state.records if "thing" in each]
        if self.part == "record" and earlier and not things and not state["stays"]:
            # This run makes a new one.
            things = [{"thing": TOOLKIT.state}]
        names = [word(each, "thing", THING) for each in things]
        if not names:
            return None
        said, tells = PARTS[self.part]
        script = words(f"restored_{self.part}", *(names if tells else ()))
        if self.part == "access":
            script = confirmed(script, ACCESS, f"{sshd.AFTERWARDS}; {packet_filter.AFTERWARDS}")
        return Change(self.ref, said(things), script, LIBRARY, phase="finish")

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """What stays, and why."""
        stays = (f"stays: {shown(each, 200)}" for each in state.all("stays"))
        return tuple(Finding(self.part, "warn", each) for each in stays)


def restored(apps: tuple[str, ...], foreign: str, with_data: bool = False) -> tuple[Restored, ...]:
    """All parts of the server, in the order in which they are restored."""
    return tuple(Restored(part, apps, foreign, with_data) for part in PARTS)
