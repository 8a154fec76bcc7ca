"""nginx in a sandbox of systemd's, beside whatever sites a server has."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, joined, library, words
from provision.resources import nginx, service
from provision.untrusted import line as shown

PROBES = joined(nginx.LIBRARY, library(__file__))
LIBRARY = joined(service.LIBRARY, PROBES)
PATH, PROGRAM = "/etc/systemd/system/nginx.service.d/provision.conf", "/usr/local/lib/provision-nginx"
PREPARATION = (
    "#!/bin/sh\n# Before nginx starts and reads its configuration anew. Written by provision.\nset -eu\n"
    + "".join((library(str(Path(__file__).with_name("nginx_keys.py"))), 'nginx_keys "$1"\n'))
)
# systemd 247 (Debian 11) has all of them.
DIRECTIVES = (
    ("ProtectSystem", "strict"),
    ("ReadWritePaths", "/run /var/log /var/lib/nginx -/var/cache/nginx"),
    ("ProtectHome", "read-only"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateMounts", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("NoNewPrivileges", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("KeyringMode", "private"),
    ("UMask", "0027"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged"),
    ("SystemCallErrorNumber", "EPERM"),
)
# Beside sites of others: the main process stays root's, with what it needs to read keys that are root's alone, to bind ports, and to run
# its workers and open its logs for another user.
ROOTED = (
    *DIRECTIVES,
    ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_DAC_OVERRIDE CAP_KILL"),
    ("SystemCallFilter", "@chown @setuid"),
)
# Where all sites are ours: no process is root's. The program puts copies of the certificates where only this unit can read them, as whoever
# may look into a worker has its keys anyway, and makes what nginx cannot make itself: its logs, its caches, and /run/nginx.pid. As that
# file is not root's, start-stop-daemon believes it only together with a name.
COMMAND = "/usr/sbin/nginx -g 'daemon on; master_process on;'"
ROOTLESS = (
    *DIRECTIVES,
    ("SystemCallFilter", "~@resources"),
    ("User", "www-data"),
    ("SupplementaryGroups", "provision-nginx"),
    ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
    ("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
    ("RemoveIPC", "yes"),
    ("BindReadOnlyPaths", "/run/provision-nginx:/etc/ssl/provision"),
    ("ExecStartPre", ""),
    ("ExecStartPre", f"+{PROGRAM} start"),
    ("ExecStartPre", COMMAND.replace(" -g", " -t -q -g")),
    ("ExecReload", ""),
    ("ExecReload", f"+{PROGRAM} reload"),
    ("ExecReload", f"{COMMAND} -s reload"),
    ("ExecStop", ""),
    (
        "ExecStop",
        "-+/sbin/start-stop-daemon --quiet --stop --retry QUIT/5 --pidfile /run/nginx.pid --name nginx",
    ),
)


def content(directives: Iterable[tuple[str, str]]) -> str:
    """The drop-in with these directives."""
    lines = (f"{name}={value}\n" for name, value in directives)
    return "# nginx's sandbox. Written by provision.\n[Service]\n" + "".join(lines)


@dataclass(frozen=True, slots=True)
class NginxSandbox:
    """nginx runs in the sandbox, if it is `wanted`, and otherwise not in ours. Where nginx reads nothing of somebody else's, but for files
    that are `going` in the same run, none of its processes is root's.

    First `nginx -t` runs in the sandbox, beside the nginx that serves. Where that fails, or a site does what the sandbox forbids, or
    nginx does not start in it, nginx runs as before and the change fails. nginx enters or leaves a sandbox only by a restart, at which
    its sockets close: a binary upgrade (USR2) would keep them, but also the old sandbox.
    """

    wanted: bool
    going: frozenset[str] = frozenset()

    @property
    def ref(self) -> Ref:
        return Ref("sandbox", "nginx")

    def probe(self) -> Probe:
        return Probe("nginx_sandbox_probe", PROBES, (PATH, "yes" if self.wanted else "no"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        gap = "it restarts, and accepts no connection for a moment, or up to 5 s while requests are under way"
        if not self.wanted:
            if not state["sha256"]:
                return None
            script = words("nginx_sandbox_leave", PATH)
            return Change(self.ref, f"nginx leaves its sandbox: {gap}", script, LIBRARY)
        others = [path for path in state["others"].split("|") if path and path not in self.going]
        text = content(ROOTED if others else ROOTLESS)
        right = hashlib.sha256(text.encode()).hexdigest()
        if state["sha256"] == right and state["entered"] == right and state["confined"] == "yes":
            return None
        script = heredoc(words("nginx_sandbox_enter", PATH, right), text.encode())
        why = f" (as root, because of {shown(others[0], 120)})" if others else ""
        return Change(self.ref, f"nginx enters a sandbox{why}: {gap}", script, LIBRARY)
