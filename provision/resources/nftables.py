"""Units that have the kernel's packet filter (nftables) load rules at a boot."""

UNIT = """\
# Written by provision.
[Unit]
Description=provision: {what}
After=nftables.service
PartOf=nftables.service
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
{commands}
# Without PrivateTmp, which would have it wait for whatever /var/tmp is on.
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictAddressFamilies=AF_NETLINK
IPAddressDeny=any
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
PrivateMounts=yes
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
SystemCallFilter=~@resources @privileged
UMask=0077
"""


def unit(what: str, *commands: str) -> str:
    """A unit that loads `what`; its commands, as lines of its section [Service]."""
    return UNIT.format(what=what, commands="\n".join(commands))
