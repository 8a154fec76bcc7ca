"""How a login becomes root on a host: said once, for every connection that is made."""

from provision.inventory import Host


def uses_sudo(host: Host) -> bool:
    """Whether the login becomes root by sudo. With `become: auto`, every login but root does."""
    return host.become in ("sudo", "sudo-password") or (host.become == "auto" and host.user != "root")


def needs_password(host: Host) -> bool:
    """Whether sudo reads a password on this host."""
    return host.become == "sudo-password"


def sudo(password: bool) -> str:
    """The sudo command: with a `password`, one line of standard input, else never asking for one; see sudo(8)."""
    return "sudo -k -S -p ''" if password else "sudo -n"
