"""With `hardening`: what changed in the system's files is noted every day. What is not asked for is as it was before."""

from collections.abc import Mapping

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.facts import HARDENED
from provision.release.layout import Hardened
from provision.resources.integrity import Integrity
from provision.resources.package import Packages

PLACES = Hardened()
TIMER = "provision-integrity.timer"
# What AIDE keeps of each file: its type, mode, owner, link, size and checksum; times and inodes change when nothing else does.
KEPT = "ftype+p+u+g+l+s+sha256"
# Programs, settings, and what starts by itself. Below /srv and in the rest of /usr, releases and packages change, and debsums knows the latter.
WATCHED = (
    "/boot",
    "/etc",
    "/root",
    "/usr/local",
    "/usr/s?bin",
    "/usr/lib/systemd",
    "/usr/lib/[^/]+/security",
    "/var/spool/cron",
)
LEFT_OUT = (
    r"/etc/(mtab|adjtime|resolv\.conf|\.pwd\.lock|ld\.so\.cache)$",
    r"/root/\.(cache|bash_history|lesshst|viminfo)",
)
HEAD = "# Written by provision (hardening: auditing).\n"
CHECK = f"""\
cd {PLACES.integrity_state}; how=--init; if [ -e now ]; then how=--update; fi; said=0; \
aide --config={PLACES.integrity} $$how || said=$$?; [ $$said -lt 8 ]; mv -fT next now"""
# By path: the text.
# The unit sees the kernel's modules, whose files are packages' (so no ProtectKernelModules; it has no right to load any).
FILES: Mapping[str, str] = {
    PLACES.integrity: "".join(
        (
            HEAD,
            f"database_in=file:{PLACES.integrity_state}/now\n",
            f"database_out=file:{PLACES.integrity_state}/next\n",
            "gzip_dbout=no\nreport_url=stdout\nreport_level=list_entries\n",
            *(f"!{path}\n" for path in LEFT_OUT),
            *(f"{path} {KEPT}\n" for path in WATCHED),
        )
    ),
    PLACES.integrity_unit: f"""\
{HEAD}[Unit]
Description=What changed in the system's files

[Service]
Type=oneshot
Nice=19
IOSchedulingClass=idle
UMask=0077
ExecStart=-/usr/bin/debsums --silent
ExecStart=/bin/sh -euc '{CHECK}'
ProtectSystem=strict
ReadWritePaths={PLACES.integrity_state}
ProtectHome=read-only
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateNetwork=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
IPAddressDeny=any
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
""",
    PLACES.integrity_timer: f"""\
{HEAD}[Unit]
Description=Once a day: what changed in the system's files

[Timer]
OnCalendar=daily
RandomizedDelaySec=2h
Persistent=yes

[Install]
WantedBy=timers.target
""",
}


def auditing(host: Host, facts: Facts) -> tuple[Resource, ...]:
    """AIDE and debsums, and the timer that starts them."""
    on = host.hardening.wants("auditing")
    if not on and "auditing" not in facts[HARDENED]:
        return ()
    return (
        *((Packages("auditing", ("aide", "debsums")),) if on else ()),
        Integrity(PLACES.integrity_state, TIMER, tuple(FILES.items()), on),
    )
