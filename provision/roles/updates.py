"""With `hardening`: security updates are installed every day. What is not asked for is as it was before."""

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.facts import HARDENED
from provision.release.layout import Hardened
from provision.release.process_manager import PROCESS_MANAGERS
from provision.resources.dropin import DropIn, Timer
from provision.resources.package import Packages
from provision.roles.wanted import Wanted

PLACES = Hardened()
# apt's own timers: one reads the package lists, the other installs.
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")
# In apt.conf.d, this is read after the files of the distribution; without the first two lines, its lists would be added to theirs.
SETTINGS = """\
// Written by provision (hardening: updates).
#clear Unattended-Upgrade::Origins-Pattern;
#clear Unattended-Upgrade::Allowed-Origins;
Unattended-Upgrade::Origins-Pattern {
  "origin=Debian,codename=${distro_codename},label=Debian-Security";
  "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";
  "origin=Ubuntu,archive=${distro_codename}-security";
  "origin=UbuntuESM,archive=${distro_codename}-infra-security";
  "origin=UbuntuESMApps,archive=${distro_codename}-apps-security";
};
APT::Periodic::Enable "1";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
"""
NO_REBOOT = 'Unattended-Upgrade::Automatic-Reboot "false";\n'
REBOOT = """\
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-WithUsers "true";
Unattended-Upgrade::Automatic-Reboot-Time "{}";
"""
HEAD = "# Written by provision (hardening: updates): these units have releases, which a deploy or `invoke restart` changes without a lost request.\n"


def updates(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """unattended-upgrades with its settings and its timers, and needrestart's hands off the apps."""
    on = host.hardening.wants("updates")
    if not on and "updates" not in facts[HARDENED]:
        return ()
    return (
        *((Packages("updates", ("unattended-upgrades", "apt-listchanges")),) if on else ()),
        DropIn(PLACES.updates, settings(host.hardening.reboot) if on else ""),
        DropIn(PLACES.restarts, restarts(tuple(host.apps)) if on else ""),
        *(Timer(name, on) for name in TIMERS),
    )


def settings(reboot: str | None) -> str:
    """apt's settings; with a time, the server may boot then."""
    return SETTINGS + (REBOOT.format(reboot) if reboot else NO_REBOOT)


def restarts(apps: tuple[str, ...]) -> str:
    """needrestart's settings, in Perl: units that it never restarts by itself."""
    ours = (
        (*(rf"^{app}[\@.-]" for app in apps), *(rf"^{name}\." for name in PROCESS_MANAGERS if name != "systemd"))
        if apps
        else ()
    )
    return "".join((HEAD, *(f"$nrconf{{override_rc}}->{{qr({each})}} = 0;\n" for each in ours))) if ours else ""
