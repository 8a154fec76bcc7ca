"""What there is on a server, line by line, so that two moments can be compared."""

import re

from provision import lab

# All of its file system but for what the kernel and a boot make; the content of /etc and of what users have counts, too.
SHOWN = r"""
cd /
find / -xdev '(' -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run/systemd -o -path /run/log -o -path /run/udev \
    -o -path /run/user -o -path /run/sudo -o -path /run/credentials -o -path /var/log/journal ')' -prune -o -printf '%p\t%y %m %U:%G %l\n'
find /run -xdev -mindepth 1 '(' -path /run/systemd -o -path /run/log -o -path /run/udev -o -path /run/user -o -path /run/sudo \
    -o -path /run/credentials ')' -prune -o -printf '%p\t%y %m %U:%G %l\n'
find /etc /root /home /srv /opt /usr/local -xdev -type f -exec md5sum {} + | sed 's/^/content /'
dpkg-query -W -f='package ${binary:Package} ${db:Status-Abbrev} ${Version}\n'
getent passwd | sed 's/^/user /'
getent group | sed 's/^/group /'
systemctl list-unit-files --no-legend --plain | sed 's/^/unit file /'
systemctl list-units --no-legend --plain --type=service,socket,timer,path,slice,target | awk '{ print "unit", $1, $2, $3 }'
ls /etc/systemd/system/*.wants /var/lib/systemd/timers | sed 's/^/wanted /'
"""
# What a server writes whenever somebody logs in, apt is asked, or time passes.
NOISE = {
    "logs": r"^(content )?\S*\s*/?var/log/",
    "apt's and dpkg's lists, caches and backups": r"/var/(cache|lib)/(apt|dpkg|debconf|ucf|man|swcatalog|app-info)/|/var/backups/",
    "backups of the lists of users": r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-",
    "the linker's cache": r"/etc/ld\.so\.cache|/var/cache/ldconfig/",
    "locks, and what a boot or a login brings": r"/etc/\.pwd\.lock|/var/tmp/systemd-private-|/run/(lock|mount|utmp|agetty|motd|sshd|nologin|initctl|cloud)"
    r"|unit (session-|user-|user@)|/\.sudo_as_admin_successful|^unit (network-online\.target|systemd-networkd-wait-online\.service) ",
    "what the first boot of an image does, and no other": r"^unit (ldconfig|systemd-(journal-catalog-update|sysusers|update-done))\.service ",
    "in memory, what packages do not take along": r"/run/(adduser|unattended-upgrades\.progress|crond\.(pid|reboot))\t",
    "the timers of the system itself": r"/var/lib/systemd/(timers/stamp-(apt|dpkg|e2scrub|fstrim|logrotate|man)|random-seed|timesync|catalog|deb-systemd)",
}


def listing(server: str) -> set[str]:
    """All that a server has, a line each, without the noise."""
    noise = re.compile("|".join(NOISE.values()))
    return {line for line in lab.shell(server, SHOWN).stdout.splitlines() if not noise.search(line)}


def changed(server: str, before: set[str]) -> str:
    """What is there that was not there before (+), and what is not there any more (-); nothing if the server is as it was."""
    after = listing(server)
    return "\n".join(
        [f"+ {line}" for line in sorted(after - before)] + [f"- {line}" for line in sorted(before - after)]
    )
