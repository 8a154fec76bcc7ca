"""PostgreSQL for apps on other hosts: who may log in, from where."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provision.engine.plan import diff
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.errors import PlanError
from provision.resources import postgresql_settings
from provision.untrusted import line as shown

LIBRARY = f"{postgresql_settings.LIBRARY}{library(__file__)}"
STAMP = "/var/lib/provision/stamps/postgresql-clients"
SETTINGS = ("listen_addresses", "ssl", "ssl_cert_file", "ssl_key_file")


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What PostgreSQL shows to apps on other hosts, and the certificate that this comes from; both PEM. The key is on the server if there is
    none here.
    """

    certificate: str
    root: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RemoteLogin:
    """The login `name` of the app `app` on one host, which comes from `address`. It has its password by `verifier` (RFC 5803), which is empty
    where that host has not been asked.
    """

    app: str
    name: str
    address: str
    verifier: str = field(default="", repr=False)

    @property
    def line(self) -> str:
        """What pg_hba.conf says of it."""
        bits = 128 if ":" in self.address else 32
        return f'hostssl "{self.app}" "{self.name}" {self.address}/{bits} scram-sha-256\n'


@dataclass(frozen=True, slots=True)
class ServerKey:
    """The key to PostgreSQL's certificate, which its user reads and no other: PostgreSQL does not start otherwise."""

    path: str

    @property
    def ref(self) -> Ref:
        return Ref("key", self.path)

    def probe(self) -> Probe:
        return Probe("postgresql_probe_key", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        found = state["found"]
        if found in ("", "root postgres 640"):
            return None
        what = f"{self.path}: for root and PostgreSQL alone (it was {shown(found, 80)})"
        return Change(self.ref, what, words("postgresql_key", self.path), LIBRARY)


@dataclass(frozen=True, slots=True)
class PostgresLogin:
    """A role that logs in from another host, and is its app's from then on: what it makes is the app's. One whose password is not known is
    left as it is.
    """

    login: RemoteLogin

    @property
    def ref(self) -> Ref:
        return Ref("login", self.login.name)

    def probe(self) -> Probe:
        return Probe("postgresql_probe_login", LIBRARY, (self.login.name, self.login.app))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        login = self.login
        if state["role"] == "theirs":
            raise PlanError(
                f"{login.app}: PostgreSQL has a role {login.name} that is somebody else's",
                "rename the host, or that role",
            )
        if not login.verifier:
            return None
        same = state["verifier"] == hashlib.sha256(login.verifier.encode()).hexdigest()
        if same and state["whole"] == "yes":
            return None
        what = "create it" if not state["role"] else "set its password" if not same else "let it in again"
        script = heredoc(words("postgresql_login", login.name, login.app), login.verifier.encode())
        return Change(self.ref, f"PostgreSQL's role {login.name} for {login.app}: {what}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class PostgresLeft:
    """No role logs in from another host but those in `names`. What others made is their app's."""

    names: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("logins", "postgresql")

    def probe(self) -> Probe:
        return Probe("postgresql_probe_logins", LIBRARY, ())

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        left = sorted(set(state.all("login")) - set(self.names))
        if not left:
            return None
        what = f"PostgreSQL: drop {', '.join(shown(each, 63) for each in left)}, which the inventory does not have any more"
        return Change(self.ref, what, words("postgresql_drop_logins", *left), LIBRARY, phase="finish")


@dataclass(frozen=True, slots=True)
class PostgresDoor:
    """PostgreSQL lets in these logins from their addresses, over TLS with what `certificate` (its text) is, and listens on the network.
    Without logins, it does not, and the folder of its certificate goes.

    Lines of pg_hba.conf that others wrote stay, after those. A PostgreSQL that was on the server before is opened to the network only if that
    is `allowed`. To listen, it is restarted once.
    """

    folder: str
    logins: tuple[RemoteLogin, ...] = ()
    certificate: str = ""
    allowed: bool = False

    @property
    def ref(self) -> Ref:
        return Ref("clients", "postgresql")

    @property
    def lines(self) -> str:
        """What pg_hba.conf says of them."""
        return "".join(each.line for each in self.logins)

    @property
    def digest(self) -> str:
        """What PostgreSQL has loaded when all is well."""
        return hashlib.sha256(f"{self.lines}{self.certificate}".encode()).hexdigest()

    def probe(self) -> Probe:
        return Probe("postgresql_probe_clients", LIBRARY, (STAMP,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        before = base64.b64decode(state["lines"]).decode(errors="replace")
        if not self.logins:
            return self._close(before) if before or state["stamp"] else None
        if state["installed"] == "yes" and state["ours"] != "yes" and not self.allowed:
            raise PlanError(
                "PostgreSQL was on this server before the toolkit, which does not open it to apps on other hosts by itself",
                'let it, with postgresql: {parameters: {listen_addresses: "*"}} of this host, or let a bare server have the databases',
            )
        steps = (
            *(("let in apps of other hosts",) if before != self.lines else ()),
            *(("listen on the network, with a restart",) if state["listens"] == "no" else ()),
            *(("load its certificate",) if before == self.lines and state["stamp"] != self.digest else ()),
        )
        if not steps:
            return None
        script = heredoc(words("postgresql_open", STAMP, self.digest), self.lines.encode())
        return self._change(steps, script, before)

    def _close(self, before: str) -> Change:
        script = words("postgresql_close", STAMP, self.folder, *SETTINGS)
        return self._change(
            ("let in no app of another host, and listen on no network from its next restart on",), script, before
        )

    def _change(self, steps: Sequence[str], script: str, before: str) -> Change:
        return Change(
            self.ref, f"PostgreSQL: {', '.join(steps)}", script, LIBRARY, diff("pg_hba.conf", before, self.lines)
        )
