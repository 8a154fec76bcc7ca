"""nginx in a sandbox of systemd's, beside whatever sites a server has."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, joined, library, words
from provision.resources import service

PROBES = library(__file__)
LIBRARY = joined(service.LIBRARY, PROBES)
PATH = "/etc/systemd/system/nginx.service.d/provision.conf"
# As others' sites may need it, homes can be read, and the main process stays root's, with what it needs to read keys that are root's
# alone, to bind ports, and to run its workers and open its logs for another user. systemd 247 (Debian 11) has all of them.
DIRECTIVES = (
    ("ProtectSystem", "strict"),
    ("ReadWritePaths", "/run /var/log /var/lib/nginx -/var/cache/nginx"),
    ("ProtectHome", "read-only"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("NoNewPrivileges", "yes"),
    (
        "CapabilityBoundingSet",
        "CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_DAC_OVERRIDE CAP_KILL",
    ),
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
    ("SystemCallFilter", "@chown @setuid"),
    ("SystemCallErrorNumber", "EPERM"),
)
CONTENT = "# nginx's sandbox. Written by provision.\n[Service]\n" + "".join(
    f"{name}={value}\n" for name, value in DIRECTIVES
)


@dataclass(frozen=True, slots=True)
class NginxSandbox:
    """nginx runs in the sandbox, if it is `wanted`, and otherwise not in ours.

    First `nginx -t` runs in the sandbox, beside the nginx that serves. Where that fails, or a site does what the sandbox forbids, or
    nginx does not start in it, nginx runs as before and the change fails. nginx enters or leaves a sandbox only by a restart, at which
    its sockets close: a binary upgrade (USR2) would keep them, but also the old sandbox.
    """

    wanted: bool

    @property
    def ref(self) -> Ref:
        return Ref("sandbox", "nginx")

    def probe(self) -> Probe:
        return Probe("nginx_sandbox_probe", PROBES, (PATH,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        right = hashlib.sha256(CONTENT.encode()).hexdigest()
        gap = "it restarts, and accepts no connection for a moment, or up to 5 s while requests are under way"
        if not self.wanted:
            if not state["sha256"]:
                return None
            script = words("nginx_sandbox_leave", PATH)
            return Change(self.ref, f"nginx leaves its sandbox: {gap}", script, LIBRARY)
        if state["sha256"] == right and state["entered"] == right and state["confined"] == "yes":
            return None
        script = heredoc(words("nginx_sandbox_enter", PATH, right), CONTENT.encode())
        return Change(self.ref, f"nginx enters a sandbox: {gap}", script, LIBRARY)
