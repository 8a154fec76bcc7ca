"""Names that an app cannot have: users, units and folders of the system, on Debian and on servers of this project."""

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
    rsync rsyslog serial-getty smartd snapd sssd uwsgi valkey wg-quick wpa_supplicant
"""
NAMES = frozenset(WORDS.split())
PROCESSES = ("web", "blue", "green", "boot")
"""Names that an app's processes and schedules cannot have, as the app itself uses them."""
