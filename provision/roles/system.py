"""With `hardening`: the system's safe settings, and its security updates. What is not asked for is as it was before."""

from collections.abc import Mapping

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.inventory import Host
from provision.release.facts import HARDENED
from provision.release.layout import Hardened
from provision.resources.dropin import DropIn
from provision.resources.kernel import Kernel, Setting
from provision.resources.modules import ForbiddenModules
from provision.resources.package import Packages
from provision.resources.swap import NoSwap, Swap, size_for
from provision.resources.timesync import TimeSync
from provision.roles.wanted import Wanted

PLACES = Hardened()
# What Lynis (KRNL-6000), the CIS benchmarks and the kernel's self-protection project advise, but for what takes something from a server: no
# forwarding (containers), no strict rp_filter (several networks), no router advertisements, and nothing that only a boot undoes.
KERNEL: Mapping[str, str] = {
    "dev/tty/ldisc_autoload": "0",
    "fs/protected_fifos": "2",
    "fs/protected_hardlinks": "1",
    "fs/protected_regular": "2",
    "fs/protected_symlinks": "1",
    "fs/suid_dumpable": "0",
    "kernel/core_uses_pid": "1",
    "kernel/dmesg_restrict": "1",
    "kernel/kptr_restrict": "2",
    "kernel/perf_event_paranoid": "3",
    "kernel/randomize_va_space": "2",
    "kernel/sysrq": "0",
    "kernel/unprivileged_bpf_disabled": "2",
    "kernel/yama/ptrace_scope": "1",
    "net/core/bpf_jit_harden": "2",
    "net/ipv4/conf/*/accept_redirects": "0",
    "net/ipv4/conf/*/accept_source_route": "0",
    "net/ipv4/conf/*/log_martians": "1",
    "net/ipv4/conf/*/secure_redirects": "0",
    "net/ipv4/conf/*/send_redirects": "0",
    "net/ipv4/conf/all/rp_filter": "2",
    "net/ipv4/conf/default/rp_filter": "2",
    "net/ipv4/icmp_echo_ignore_broadcasts": "1",
    "net/ipv4/icmp_ignore_bogus_error_responses": "1",
    "net/ipv4/tcp_rfc1337": "1",
    "net/ipv4/tcp_syncookies": "1",
    "net/ipv6/conf/*/accept_redirects": "0",
    "net/ipv6/conf/*/accept_source_route": "0",
    "vm/unprivileged_userfaultfd": "0",
}
STRICTER: Mapping[str, tuple[str, ...]] = {
    "kernel/perf_event_paranoid": ("4",),
    "kernel/unprivileged_bpf_disabled": ("1",),
    "kernel/yama/ptrace_scope": ("2", "3"),
    "net/ipv4/conf/all/rp_filter": ("1",),
    "net/ipv4/conf/default/rp_filter": ("1",),
    "net/ipv4/tcp_syncookies": ("2",),
    "net/ipv6/conf/*/accept_source_route": ("-1",),
}
# Network protocols that any user's program makes the kernel load, that hardly anybody uses and that had holes which made root of a user; and
# disks on USB and FireWire, which reads and writes the memory. Debian's own list (modprobe.d) has more.
MODULES = (
    "ax25",
    "dccp",
    "netrom",
    "n-hdlc",
    "rds",
    "rose",
    "sctp",
    "tipc",
    "firewire-ohci",
    "firewire-sbp2",
    "usb-storage",
)
HEAD = "# Written by provision (hardening: system).\n"
# By place: the text, and the command with which its program reads it.
SETTINGS: Mapping[str, tuple[str, str]] = {
    PLACES.journal: (
        f"{HEAD}[Journal]\nSystemMaxUse=1G\nRuntimeMaxUse=128M\n",
        "systemctl restart systemd-journald",
    ),
    PLACES.dumps: (f"{HEAD}[Coredump]\nStorage=none\nProcessSizeMax=0\n", ""),
    PLACES.manager: (f"{HEAD}[Manager]\nDefaultLimitCORE=0\n", "systemctl daemon-reload"),
    PLACES.limits: (f"{HEAD}* hard core 0\nroot hard core 0\n", ""),
    # In tmux and screen, a shell waits for whoever comes back. No core dumps of what it starts, also where no login set the limit.
    PLACES.idle: (f'{HEAD}ulimit -c 0\nif [ -z "${{TMUX-}}${{STY-}}" ]; then TMOUT=3600; export TMOUT; fi\n', ""),
    PLACES.passwords: (f"{HEAD}minlen = 12\nusercheck = 1\n", ""),
    PLACES.greeting: (
        "This server is managed by provision: what is changed by hand may be changed back by the next deploy.\n",
        "",
    ),
}


def system(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """The kernel's settings and modules, drop-ins, what sets the clock, and swap."""
    on = host.hardening.wants("system")
    if not on and "system" not in facts[HARDENED]:
        return ()
    settings = tuple(Setting(name, value, STRICTER.get(name, ())) for name, value in KERNEL.items()) if on else ()
    drop_ins = (DropIn(path, text if on else "", then) for path, (text, then) in SETTINGS.items())
    return (
        Kernel(PLACES.kernel, settings),
        ForbiddenModules(PLACES.modules, MODULES if on else ()),
        # Without its dictionary, pam_pwquality refuses every password.
        *((Packages("passwords", ("libpam-pwquality", "cracklib-runtime")),) if on else ()),
        *drop_ins,
        *((TimeSync(),) if on else ()),
        Swap(size_for(facts[SYSTEM].memory), PLACES.swap, optional=True) if on else NoSwap(PLACES.swap),
    )
