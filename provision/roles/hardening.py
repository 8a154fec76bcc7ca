"""How a server is reached: sshd, the firewall, and who is kept out."""

from ipaddress import ip_address, ip_network

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.inventory import App, Host, database
from provision.inventory.addresses import is_ip
from provision.release.layout import Layout
from provision.resources.egress import Egress
from provision.resources.fail2ban import JAIL, Jails
from provision.resources.notice import NETWORK, Notice
from provision.resources.package import Packages
from provision.resources.packet_filter import PacketFilter
from provision.resources.service import Service
from provision.resources.sshd import SshServer
from provision.roles.auditing import auditing
from provision.roles.system import system
from provision.roles.updates import updates
from provision.roles.wanted import Wanted

# OpenSSH 9.9 and newer have the first, 8.5 and newer the second; both are safe from a quantum computer.
KEY_EXCHANGE = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
)
CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
MACS = ("hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com")
HOST_KEYS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-ed25519",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
ALGORITHMS = {"KexAlgorithms": KEY_EXCHANGE, "Ciphers": CIPHERS, "MACs": MACS, "HostKeyAlgorithms": HOST_KEYS}


def hardening(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Those parts that the inventory asks for, but for the firewall; what it asks for no longer goes."""
    # With the role base they come early, because a build may need the swap.
    late = "base" not in host.roles
    whole = (*system(host, facts, wanted), *updates(host, facts, wanted), *auditing(host, facts)) if late else ()
    return (*whole, *_egress(host), *_fail2ban(host), _notice(host), _sshd(host))


def _notice(host: Host) -> Notice:
    text = host.hardening.notice
    return Notice(f"{text.rstrip()}\n" if text else "")


def _sshd(host: Host) -> SshServer:
    if not host.hardening.wants("ssh"):
        return SshServer()
    own = {name.lower() for name in host.hardening.ssh_settings}
    ours = {
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password" if host.user == "root" else "no",
        "MaxAuthTries": "4",
        "LoginGraceTime": "30",
        "MaxStartups": "20:30:60",
        "LogLevel": "VERBOSE",
        "X11Forwarding": "no",
        "PermitUserEnvironment": "no",
        # Tunnels from here lead to databases and other servers; the other way, a stolen key leaves a door open in them.
        "AllowTcpForwarding": "local",
        **({} if _forwards(host) else {"AllowAgentForwarding": "no"}),
        # A session whose client is gone ends after ten minutes; the question is in the encrypted stream, and TCP's is not.
        "ClientAliveInterval": "300",
        "ClientAliveCountMax": "2",
        "TCPKeepAlive": "no",
        "Compression": "no",
        **({"Banner": NETWORK} if host.hardening.notice else {}),
    }
    settings = {name: value for name, value in ours.items() if name.lower() not in own}
    return SshServer(
        tuple({**settings, **host.hardening.ssh_settings}.items()),
        tuple((name, wanted) for name, wanted in ALGORITHMS.items() if name.lower() not in own),
        host.user,
        tuple(host.hardening.ssh_keys),
    )


def _forwards(host: Host) -> bool:
    """Whether an app's repository is read with the agent of whoever deploys."""
    return any(app.source.forward_agent for app in host.apps.values())


def firewall(host: Host, wanted: Wanted) -> tuple[Resource, ...]:
    """What lets in those whom the host's roles serve; its removal where the inventory has none."""
    if not host.hardening.wants("firewall"):
        return (PacketFilter(wanted=False),)
    web = (80, 443) if "web" in host.roles else ()
    ports = tuple(sorted({*web, *host.hardening.open}))
    datagrams = (443,) if web and host.tls.http3 else ()
    clients = tuple(sorted({one.address for one in wanted.clients}))
    guarded = (database.PORT, clients) if clients else (0, ())
    return (
        Packages("firewall", ("nftables",)),
        PacketFilter(True, ports, host.port, tuple(host.hardening.ssh_from), datagrams, guarded),
    )


def _egress(host: Host) -> tuple[Resource, ...]:
    wanted = host.hardening.wants("egress")
    names = {app: Layout(app).builder for app in host.apps}
    tables = (
        Egress(
            app.name,
            names[app.name],
            wanted,
            tuple(app.egress.local),
            None if app.egress.to is None else (*app.egress.to, *_database(app)),
        )
        for app in host.apps.values()
    )
    return (*((Packages("egress", ("nftables",)),) if wanted and names else ()), *tables)


def _database(app: App) -> tuple[str, ...]:
    """The address of the app's database on another host, if it has one, and no network has that already."""
    found = app.remote_database.address if app.remote_database else ""
    if not is_ip(found):
        return ()
    address = ip_address(found)
    return () if any(address in ip_network(each) for each in app.egress.to or ()) else (found,)


def _fail2ban(host: Host) -> tuple[Resource, ...]:
    if not host.hardening.wants("fail2ban"):
        return (Jails(wanted=False),)
    jails = Jails(wanted=True, web="web" in host.roles)
    return (
        Packages("fail2ban", ("fail2ban", "python3-systemd", "nftables")),
        jails,
        Service("fail2ban", (jails.ref,), "restart", reads=(JAIL,)),
    )
