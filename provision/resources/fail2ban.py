"""fail2ban: who is kept out after failed logins."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.resources.file import File

JAIL = "/etc/fail2ban/jail.d/provision.conf"
# It lets go whom it has kept out by these jails.
REMOVE = f"rm -f {JAIL}\nif systemctl is-active --quiet fail2ban; then systemctl restart fail2ban; fi"
# It follows the journal, as Debian 12 and newer write no /var/log/auth.log. Other modes also count who
# connects and goes away: a monitor of the port, or a client that has no common algorithm.
# Nobody is kept out from where somebody has logged in within a week: whoever works here may mistype, or have many keys.
# Only what root logged counts: an app can write any line under the name of sshd.
SSH = """\
# Written by provision.
[DEFAULT]
banaction = nftables-multiport
banaction_allports = nftables-allports
findtime = 10m
maxretry = 5
bantime = 10m
ignorecommand = sh -c 'journalctl -q _UID=0 -t sshd -t sshd-session -S -7d -n 1 -g "^Accepted .* from <ip> port " | grep -q .'

[sshd]
enabled = true
backend = systemd
mode = normal
"""
# Whoever asks again and again for scripts that are not there, or for more than the site's limits.
WEB = """
[nginx-botsearch]
enabled = true
backend = auto
logpath = /var/log/nginx/error.log

[nginx-limit-req]
enabled = true
backend = auto
logpath = /var/log/nginx/error.log
"""


@dataclass(frozen=True, slots=True)
class Jails:
    """fail2ban's jails, in a file of our own: an address with five failed logins within ten minutes is kept out for ten, by sshd's
    journal and, on a server with sites (`web`), by nginx's log. Not `wanted`: that file is not there, and fail2ban goes on without it.
    """

    wanted: bool
    web: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("fail2ban", "jails")

    @property
    def _file(self) -> File:
        return File(JAIL, f"{SSH}{WEB}" if self.web else SSH, check="fail2ban-client -t")

    def probe(self) -> Probe:
        return self._file.probe()

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not self.wanted:
            return Change(self.ref, f"fail2ban: remove {JAIL}", REMOVE) if state else None
        change = self._file.plan(state, earlier)
        return change and Change(self.ref, f"fail2ban: {change.summary}", change.script, change.library, change.diff)
