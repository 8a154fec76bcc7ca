"""Where apps may connect to: a table of nftables for each, by user."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.engine.plan import diff
from provision.engine.resource import Change, Finding, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.resources import nftables
from provision.untrusted import line as shown

LIBRARY = library(__file__)
FOLDER, UNIT = "/etc/provision/egress", "/etc/systemd/system/provision-egress.service"
AT_BOOT = "/etc/systemd/system/multi-user.target.wants/provision-egress.service"
SERVICE = nftables.unit(
    "where apps may connect to",
    f"ExecStart=/bin/sh -c 'for rules in {FOLDER}/*.nft; do /usr/sbin/nft -f \"$$rules\" || true; done'",
)
SUM = hashlib.sha256(SERVICE.encode()).hexdigest()
# Where clouds tell a machine its secrets: AWS, Google, Azure, DigitalOcean, Hetzner and others; AWS's containers; Azure's agent; Alibaba.
METADATA = ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200")
METADATA6 = ("fd00:ec2::254", "fd20:ce::254")


@dataclass(frozen=True, slots=True)
class Egress:
    """An app, by its user and its builder's, reaches no metadata address of a cloud, and of the server itself only names, sites, and the
    TCP ports in `local`. Of other machines the app reaches the networks in `to`, or all if that is None; its builder reaches all.

    Without it `wanted`, there is no such table.
    """

    app: str
    builder: str
    wanted: bool = True
    local: tuple[int, ...] = ()
    to: tuple[str, ...] | None = None

    @property
    def ref(self) -> Ref:
        return Ref("egress", self.app)

    @property
    def _path(self) -> str:
        return f"{FOLDER}/{self.app}.nft"

    @property
    def _table(self) -> str:
        return f"provision_app_{self.app.replace('-', '_')}"

    def probe(self) -> Probe:
        wanted = hashlib.sha256(self._rules().encode()).hexdigest() if self.wanted else "-"
        return Probe("egress_probe", LIBRARY, (self._path, self._table, wanted, UNIT, SUM))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        before = base64.b64decode(state["content"]).decode(errors="replace")
        if not self.wanted:
            if not before:
                return None
            remove = words("egress_remove", self._path, self._table, UNIT, AT_BOOT)
            return Change(
                self.ref, f"{self.app}: may connect to anything again", remove, LIBRARY, diff(self._path, before, "")
            )
        rules = self._rules()
        if before == rules and state["live"] == "yes" and state["boot"] == "yes":
            return None
        what = "where it may connect to" if before != rules else "load again where it may connect to"
        script = heredoc(words("egress_write", self._path, self._table, UNIT, AT_BOOT, SERVICE), rules.encode())
        return Change(self.ref, f"{self.app}: {what}", script, LIBRARY, diff(self._path, before, rules))

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """What listens on the server and the app will not reach; said where that changes, and by `doctor`."""
        opened = {22, 53, 80, 443, *self.local}
        closes = [one for one in state.all("listens") if int(one.split(" ")[0]) not in opened]
        if not self.wanted or not closes or (planned is not None and self.ref not in planned):
            return ()
        said = ", ".join(shown(one, 40) for one in closes[:10])
        what = f"{self.app} may not connect to what listens on the server: {said}"
        ports = ", ".join(one.split(" ")[0] for one in closes[:10])
        return (Finding("egress", "warn", what, f"if it has to, name it: egress: {{local: [{ports}]}}"),)

    def _rules(self) -> str:
        four = [one for one in self.to or () if ":" not in one]
        six = [one for one in self.to or () if ":" in one]
        lines = [
            *([f"ip daddr {_set(four)} accept"] if four else ()),
            *([f"ip6 daddr {_set(six)} accept"] if six else ()),
            *(["jump refuse"] if self.to is not None else ()),
        ]
        return TABLE.format(
            table=self._table,
            app=self.app,
            builder=self.builder,
            metadata=_set(METADATA),
            metadata6=_set(METADATA6),
            local=_set(sorted({80, 443, *self.local})),
            to="".join(f"        {line}\n" for line in lines),
        )


def _set(items: Sequence[object]) -> str:
    return "{ " + ", ".join(map(str, items)) + " }"


TABLE = """\
# Where {app} may connect to. Written by provision.
table inet {table}
delete table inet {table}
table inet {table} {{
    chain output {{
        type filter hook output priority filter; policy accept;
        meta skuid "{app}" jump app
        meta skuid "{builder}" jump both
    }}

    chain app {{
        jump both
        # What is left is for other machines. Names are resolved in any case.
        fib daddr type local accept
        ct direction reply accept
        meta l4proto {{ tcp, udp }} th dport 53 accept
{to}    }}

    chain both {{
        # Answers to whoever connected, such as nginx.
        ct direction reply return
        # A cloud's resolver may have the address of its metadata.
        meta l4proto {{ tcp, udp }} th dport 53 return
        ip daddr {metadata} jump refuse
        ip6 daddr {metadata6} jump refuse
        fib daddr type != local return
        tcp dport {local} return
        jump refuse
    }}

    chain refuse {{
        meta l4proto tcp reject with tcp reset
        reject
    }}
}}
"""
