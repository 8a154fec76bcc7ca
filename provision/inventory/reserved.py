"""Names that an app cannot have: users, units and folders of the system, on Debian and on servers of this project."""

import re

WORDS = """
    _apt adm audio avahi backup bin cdrom crontab current daemon dbus default dialout dip disk docker
    fax floppy ftp games git gnats gunicorn input irc kmem kvm landscape list lp mail man messagebus
    mysql netdev news nginx nobody nogroup ntp operator plugdev polkitd pollinate postfix postgres
    provision provision-backup proxy pyenv redis render root sasl sgx shadow src ssh sshd ssl-cert staff sudo sync sys
    syslog systemd tape tcpdump tss tty users utmp uucp uuidd video voice wheel www-data
    alternatives apparmor before files placeholder apt ca-certificates certbot cloud credstore cron default dpkg emacs environment fonts fstab
    group hostname hosts init init.d iproute2 issue kernel ld letsencrypt libvirt locale lock log logrotate lvm machine-id
    modprobe modules motd mount mtab network networks nftables opt pam passwd perl profile protocols python3 repository
    resolv rpc secrets security selinux services shells skel ssl subgid subuid supervisor sysctl terminfo timezone tmpfiles
    udev ufw update-motd user vim xdg
    apache2 apport autovt blockdev container-getty dnsmasq e2scrub e2scrub_fail fail2ban getty haproxy mariadb memcached
    modprobe multipathd openvpn pg_basebackup pg_compresswal pg_dump pg_receivewal postgresql procps rabbitmq redis-server
    rsync rsyslog serial-getty smartd snapd sssd uwsgi valkey valkey-server wg-quick wpa_supplicant
"""
NAMES = frozenset(WORDS.split())
PROCESSES = ("web", "blue", "green", "boot")
"""Names that an app's processes and schedules cannot have, as the app itself uses them."""


def app_name(value: str) -> str:
    """An app's name. Raises ValueError for one that the system uses, or that cannot be a user's name."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,25}", value):
        raise ValueError(
            f'"{value}" is not an app name; use a-z, 0-9 and -, begin with a letter, at most 26 characters'
        )
    if value.endswith("-build"):
        raise ValueError(f'"{value}" is what the builder of the app {value[:-6]} would be called; choose another name')
    # provision-redis@.service and others are this toolkit's own units.
    own = re.sub("^(systemd|provision)-", "", value)
    if value in NAMES or own != value:
        raise ValueError(f'"{value}" is a name that the system uses itself; choose another, for example {own[:22]}-app')
    return value
