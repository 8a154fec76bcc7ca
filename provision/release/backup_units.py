"""The units that the timers of backups start: root's scripts, which have what needs more done by units of their own."""

SERVICE = """\
# {what}. Written by provision.
[Unit]
Description={what}
After={after}network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={program} {command}
Nice=10
IOSchedulingClass=idle
# It asks systemd and PostgreSQL over sockets of this machine, and keeps what came of that. What reads data and reaches repositories has a unit of its
# own, of a user of its own.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER{capabilities}
ProtectSystem=strict
ReadWritePaths=/run /var/lib/provision
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
NoNewPrivileges=yes
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM
UMask=0077
"""


def service(what: str, program: str, command: str, after: str = "", capabilities: str = "", home: str = "yes") -> str:
    """A unit that runs one command of a program and ends. `after` and `capabilities` are more units and capabilities than all have, by name; `home` is
    what it sees of home folders (ProtectHome, systemd.exec(5)).
    """
    return SERVICE.format(
        what=what,
        program=program,
        command=command,
        home=home,
        after=f"{after} " if after else "",
        capabilities=f" {capabilities}" if capabilities else "",
    )
