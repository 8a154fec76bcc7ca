"""What a server has that neither its inventory nor its distribution explains: an answer to audit.sh, judged."""

import re
from collections.abc import Callable, Iterable, Mapping

from provision.engine.layout import Toolkit
from provision.engine.resource import Finding, Record, record
from provision.engine.shell import words
from provision.inventory import Host
from provision.release import backups
from provision.release.layout import Hardened
from provision.release.process_manager import PROCESS_MANAGERS
from provision.resources import egress, packet_filter
from provision.untrusted import line as shown

# Files that Debian and Ubuntu ship with the set-user-ID or set-group-ID bit. dpkg does not keep modes, so that one of another file of a package
# can only be told by this list.
PRIVILEGED = frozenset(
    [
        "at",
        "atq",
        "atrm",
        "batch",
        "bsd-write",
        "chage",
        "chfn",
        "chsh",
        "crontab",
        "dbus-daemon-launch-helper",
        "dotlockfile",
        "exim4",
        "expiry",
        "fusermount",
        "fusermount3",
        "gpasswd",
        "locate",
        "mlocate",
        "plocate",
        "mount",
        "mount.cifs",
        "mount.nfs",
        "newgidmap",
        "newgrp",
        "newuidmap",
        "ntfs-3g",
        "pam_extrausers_chkpwd",
        "passwd",
        "ping",
        "pkexec",
        "polkit-agent-helper-1",
        "postdrop",
        "postqueue",
        "pppd",
        "screen",
        "snap-confine",
        "ssh-agent",
        "ssh-keysign",
        "su",
        "sudo",
        "umount",
        "unix_chkpwd",
        "utempter",
        "wall",
        "write",
        "write.ul",
    ]
)
# Programs of the distribution that listen so that the machine has a network, a name and a clock.
NETWORK = frozenset(
    [
        "systemd-networkd",
        "systemd-resolved",
        "systemd-timesyncd",
        "dhclient",
        "dhcpcd",
        "NetworkManager",
        "chronyd",
        "ntpd",
    ]
)
LOCAL = re.compile(r"(127\.[\d.]+(%\w+)?|\[::1\]):")


def call(host: Host) -> str:
    """Asks for all that is judged here."""
    return words("audit")


def unexplained(host: Host, lines: Iterable[str]) -> tuple[Finding, ...]:
    """The things in an answer to `call` that nothing explains. Raises ValueError for an answer that has no end."""
    records = [record(tuple(line.split("\t"))) for line in lines if line]
    if not records or records[-1].get("kind") != "end":
        raise ValueError("it has no end")
    judged = (JUDGES[each["kind"]](host, each) for each in records[:-1])
    return tuple(dict.fromkeys(found for found in judged if found))


def _finding(check: str, what: str, fix: str) -> Finding:
    return Finding(check, "warn", shown(what), fix)


def _lacks(host: Host, each: Record) -> Finding:
    return _finding("listens", f"{each['what']} is not installed, so what listens is not known", "apt install iproute2")


def _listens(host: Host, each: Record) -> Finding | None:
    program, unit, port = each["path"].rpartition("/")[2], each["unit"], each["address"].rpartition(":")[2]
    if changed := _changed("listens", each):
        return changed
    if each["package"]:
        expected = each["protocol"] != "udp" or (host.tls.http3 and port == "443")
        serves = bool(host.apps) and "web" in host.roles and program == "nginx" and expected
        ssh = program == "sshd" or (program == "systemd" and port == str(host.port))
        if (
            serves
            or ssh
            or _has_database(host, program, each["address"])
            or program in NETWORK
            or _named(host, each["package"])
        ):
            return None
    if _is_apps(host, unit) or (host.apps and unit.removesuffix(".service") in PROCESS_MANAGERS):
        return None
    who = (
        f"{each['path']} (process {each['process']}{', ' + unit if unit else ''})" if each["process"] else "the kernel"
    )
    where = "on this machine alone" if LOCAL.match(each["address"]) else "for other machines"
    fix = f"systemctl disable --now {unit}" if unit.endswith(".service") else "end it, and find out what starts it"
    name = f", or name {each['package']} in packages" if each["package"] else ""
    return _finding("listens", f"{who} listens {where}: {each['protocol']} {each['address']}", f"{fix}{name}")


def _has_database(host: Host, program: str, address: str) -> bool:
    """Whether what listens there is PostgreSQL for the host's apps, or for those of others."""
    own = any(app.own_database for app in host.apps.values()) and LOCAL.match(address)
    return program == "postgres" and bool(own or host.serves)


def _login(host: Host, each: Record) -> Finding | None:
    user, how = each["user"], []
    if each["password"]:
        how.append("a password" if each["password"] == "yes" else "an empty password")
    if each["keys"] != "0":
        how.append(f"{each['keys']} SSH key{'s' * (each['keys'] != '1')}")
    if user in (host.user, *host.hardening.logins) and each["password"] != "none":
        return None
    if each["uid"] == "0" and user != "root":
        return _finding("logins", f"{user} is root under another name, with {' and '.join(how)}", f"userdel {user}")
    ends = "passwd -l root" if user == "root" else f"userdel {user}, or usermod -L {user}"
    fix = f"{ends}, and see to its authorized_keys; or name {user} in hardening.logins"
    return _finding("logins", f"{user} can log in with {' and '.join(how)}, and the inventory does not say so", fix)


def _sudo(host: Host, each: Record) -> Finding | None:
    who, by = each["who"], each["by"]
    if who in ("root", host.user, *host.hardening.logins) or (by == "/etc/sudoers" and who in ("%sudo", "%admin")):
        return None
    group = by.removeprefix("the group ")
    fix = f"gpasswd -d {who} {group}" if group != by else f"visudo -f {by}, or remove that file"
    return _finding("sudo", f"{who} can become root by {by}", fix)


def _unit(host: Host, each: Record) -> Finding | None:
    unit = each["unit"].replace("@audit.", "@.")
    if changed := _changed("units", each):
        return changed
    swap = f"{Hardened.swap.path.strip('/')}.swap"
    if each["package"] or _is_apps(host, unit) or unit == swap or each["path"].startswith("/run/systemd/generator"):
        return None
    check = "timers" if unit.endswith(".timer") else "units"
    what = "is a timer that runs" if check == "timers" else "is enabled"
    where = f" ({each['path']})" if each["path"] else ""
    return _finding(check, f"{unit} {what}, and comes from no package{where}", f"systemctl disable --now {unit}")


def _cron(host: Host, each: Record) -> Finding | None:
    if changed := _changed("timers", each):
        return changed
    if each["package"] or each["path"] in {f"/var/spool/cron/crontabs/{app}" for app in host.apps}:
        return None
    return _finding("timers", f"{each['path']} has jobs for cron, and comes from no package", f"rm {each['path']}")


def _suid(host: Host, each: Record) -> Finding | None:
    if changed := _changed("suid", each):
        return changed
    path, access = each["path"], each["access"]
    if each["package"] and path.rpartition("/")[2] in PRIVILEGED:
        return None
    of = f"of {each['package']}, which ships no such mode" if each["package"] else "of no package"
    return _finding("suid", f"{path} gives whoever runs it other rights ({access}), and is {of}", f"chmod ug-s {path}")


def _changed(check: str, each: Record) -> Finding | None:
    if not each["changed"]:
        return None
    fix = f"apt-get install --reinstall {each['package']}, and find out who changed it"
    return _finding(check, f"{each['path']} is not what {each['package']} had", fix)


def _named(host: Host, package: str) -> bool:
    return any(package == name or package.startswith(f"{name}-") for name in host.packages)


OWN = {
    each.rpartition("/")[2]
    for each in (
        Toolkit.undo_unit.path,
        Toolkit.access_unit.path,
        Hardened.integrity_timer.path,
        packet_filter.UNIT,
        egress.UNIT,
    )
} | {
    "provision-access-timer.timer",
    *(f"provision-{of}-{each}.timer" for of in ("backup", "shared-backup") for each in backups.TIMERS),
}


def _is_apps(host: Host, unit: str) -> bool:
    """Whether a unit has a name that this toolkit gives to one of an app, or of its own."""
    own = unit in OWN
    return own or bool(
        host.apps and re.match(rf"(provision-(?:build-|redis@))?({'|'.join(map(re.escape, host.apps))})([@.-])", unit)
    )


JUDGES: Mapping[str, Callable[[Host, Record], Finding | None]] = {
    "lacks": _lacks,
    "listens": _listens,
    "login": _login,
    "sudo": _sudo,
    "unit": _unit,
    "cron": _cron,
    "suid": _suid,
}
