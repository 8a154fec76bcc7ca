"""An app's login to the PostgreSQL of another host, on the app's server."""

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from provision.engine.facts import Fact
from provision.engine.layout import Place, Places
from provision.engine.resource import Change, Finding, Probe, Record, Ref, Resource, State
from provision.engine.shell import library, words
from provision.inventory import App
from provision.release import layout
from provision.release.backup_layout import POSTGRES
from provision.release.facts import APP
from provision.release.layout import LoginLayout, file
from provision.resources.package import Packages
from provision.resources.postgresql_clients import ServerCertificate
from provision.untrusted import line as shown
from provision.untrusted import word


class DatabasePlaces(Places):
    """What a server has whose PostgreSQL serves apps on other hosts."""

    prefix = "databases"

    configuration = Place(
        "/etc/provision/postgresql", "directory", "what PostgreSQL shows them", "root", POSTGRES, 0o750
    )
    key = Place("/etc/provision/postgresql/server.key", "file", "its key; made once", "root", POSTGRES, 0o640)
    certificate = Place(
        "/etc/provision/postgresql/server.crt", "file", "its certificate, for ten years", "root", POSTGRES, 0o640
    )
    root = Place(
        "/etc/provision/postgresql/root.crt",
        "file",
        "the certificate that this one comes from; its key was thrown away",
        "root",
        POSTGRES,
        0o640,
    )


LIBRARY = f"{layout.PRELUDE}{DatabasePlaces.shell()}{library(__file__)}"
# As the controller makes them; another is made anew.
PASSWORD = "[A-Za-z0-9_-]{43}"


@dataclass(frozen=True, slots=True)
class Login:
    """The password that a server has for an app's login, and the certificate (PEM) that the other host's comes from."""

    password: str = field(repr=False)
    root: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Databases:
    """What a server has of databases on other hosts: `logins` by app. If it `serves` others: its `certificate`, if that has its key."""

    logins: Mapping[str, Login] = field(default_factory=lambda: MappingProxyType({}))
    serves: bool = False
    certificate: ServerCertificate | None = None


def parse(records: Sequence[Record]) -> Databases:
    """What a server says of databases on other hosts."""
    own = next((each for each in records if "serves" in each), None)
    whole = own and own["key"] == "yes" and own["certificate"] and own["root"]
    return Databases(
        {
            word(each, "app", APP): Login(_password(each["password"]), _text(each["root"]))
            for each in records
            if "app" in each
        },
        own is not None,
        ServerCertificate(_text(own["certificate"]), _text(own["root"])) if own and whole else None,
    )


def _password(found: str) -> str:
    return found if re.fullmatch(PASSWORD, found) else ""


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode("ascii", "replace")


DATABASES = Fact("databases", "database_facts", LIBRARY, parse)


def login(app: App, others: Collection[str]) -> tuple[Resource, ...]:
    """What the app's server keeps of how it reaches a database on another host; nothing if it has none, or that is not known. `others` are
    the hosts of the same run.
    """
    database = app.remote_database
    if not database or not database.host or not database.access:
        return ()
    places, access = LoginLayout(app.name), database.access
    return (
        LetIn(app.name, database.host, database.address, access.user, database.host in others),
        file(places, LoginLayout.password, access.password, secret=True),
        file(places, LoginLayout.root, access.certificate),
    )


def program(apps: Iterable[App]) -> tuple[Resource, ...]:
    """What people and checks ask databases on other hosts with."""
    return (Packages("postgresql-client", ("postgresql-client",)),) if any(one.remote_database for one in apps) else ()


def no_login(app: App, known: Databases) -> tuple[Resource, ...]:
    """Nothing of it, once the release that may need it does not serve any more."""
    return () if app.remote_database or app.name not in known.logins else (NoLogin(app.name),)


@dataclass(frozen=True, slots=True)
class LetIn:
    """The PostgreSQL of the host `server` lets the app in, if its server has a login already. Never a change.

    Where the other host is `here`, in the same run, its changes may be what is missing.
    """

    app: str
    server: str
    address: str
    login: str
    here: bool

    @property
    def ref(self) -> Ref:
        return Ref("database", f"{self.app}@{self.server}")

    def probe(self) -> Probe:
        return Probe("database_login_reach", LIBRARY, (self.app, self.address, self.login))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        return None

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """Whether it does, and what to do where it does not."""
        if not state["asked"]:
            return ()
        where = f"PostgreSQL on {self.server}"
        if not state["said"]:
            return (Finding("database", "ok", f"{where} lets {self.app} in"),)
        what = f"{self.app}: {where} does not let it in ({shown(state['said'], 200)})"
        fix = f"see that it runs, and deploy {self.server} together with it"
        if self.here:
            fix = (
                f"if changes of {self.server} do not put that right, see that it runs, and that no firewall is between"
            )
        return (Finding("database", "warn" if self.here else "stop", what, fix),)


@dataclass(frozen=True, slots=True)
class NoLogin:
    """An app that has no database on another host any more keeps no password for one."""

    app: str

    @property
    def ref(self) -> Ref:
        return Ref("login", self.app)

    def probe(self) -> Probe:
        return Probe("database_login_probe", LIBRARY, (self.app,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state["there"]:
            return None
        what = f"{self.app}: forget its login to PostgreSQL on another host"
        return Change(self.ref, what, words("database_login_remove", self.app), LIBRARY, phase="finish")
