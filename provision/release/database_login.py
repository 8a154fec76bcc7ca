"""An app's login to the PostgreSQL of another host, on the app's server."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from provision.engine.facts import Fact
from provision.engine.resource import Change, Probe, Record, Ref, Resource, State
from provision.engine.shell import library, words
from provision.inventory import App
from provision.release import layout
from provision.release.facts import APP
from provision.release.layout import Layout, file
from provision.untrusted import word

LIBRARY = f"{layout.PRELUDE}{library(__file__)}"
# As the controller makes them; another is made anew.
PASSWORD = "[A-Za-z0-9_-]{43}"


@dataclass(frozen=True, slots=True)
class Login:
    """The password that a server has for an app's login, and the certificate (PEM) that the other host's comes from."""

    password: str = field(repr=False)
    root: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What PostgreSQL shows to apps on other hosts, and the certificate that this comes from; both PEM. The key is on the server if there is
    none here.
    """

    certificate: str
    root: str
    key: str = field(default="", repr=False)


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


def login(app: App) -> tuple[Resource, ...]:
    """What the app's server keeps of how it reaches a database on another host; nothing if it has none, or that is not known."""
    access = app.database.access if app.database else None
    if not access:
        return ()
    places = Layout(app.name)
    return (
        file(places, Layout.database_login, access.password, secret=True),
        file(places, Layout.database_root, access.certificate),
    )


def no_login(app: App, known: Databases) -> tuple[Resource, ...]:
    """Nothing of it, once the release that may need it does not serve any more."""
    remote = app.database is not None and app.database.host is not None
    return () if remote or app.name not in known.logins else (NoLogin(app.name),)


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
