"""What every server has."""

from provision.engine.facts import SYSTEM, Facts
from provision.engine.layout import TOOLKIT, Toolkit
from provision.engine.resource import Resource
from provision.inventory import App, Host
from provision.release.adopted import Adopted
from provision.release.claim import Claim
from provision.release.layout import Layout, directory
from provision.release.owner import Owner
from provision.resources.file import File, Link
from provision.resources.locale import Locale
from provision.resources.package import Packages
from provision.resources.trust import TrustedCertificates
from provision.resources.user import Group, User
from provision.roles.auditing import auditing
from provision.roles.system import system
from provision.roles.updates import updates
from provision.roles.wanted import Wanted

BUILT_IN = ("C.UTF-8", "C", "POSIX")
PACKAGES = ("ca-certificates", "curl", "git", "openssl", "tzdata")


def base(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """Packages, trusted CAs, the time zone and the locale if they are named, the toolkit's folders, and two users for each app."""
    locales = () if host.locale in (None, *BUILT_IN) else ("locales",)
    ssh = ("openssh-client",) if any(app.source.ssh or app.source.private_key for app in host.apps.values()) else ()
    return (
        Packages("base", (*PACKAGES, *locales, *ssh, *host.packages)),
        *(_timezone(host.timezone) if host.timezone else ()),
        *(_locale(host.locale) if host.locale else ()),
        TrustedCertificates(host.mirrors.authorities),
        directory(TOOLKIT, Toolkit.state),
        directory(TOOLKIT, Toolkit.cache),
        *(resource for app in host.apps.values() for resource in _users(host, facts, app, wanted.inventory)),
        *system(host, facts, wanted),
        *updates(host, facts, wanted),
        *auditing(host, facts),
    )


def _users(host: Host, facts: Facts, app: App, inventory: str) -> tuple[Resource, ...]:
    layout = Layout(app.name)
    builder, logins = layout.builder, (host.user, facts[SYSTEM].login)
    return (
        Claim(app.name, tuple(app.adopt), logins),
        *(Adopted(app.name, what, logins) for what in ("user", "folders") if what in app.adopt),
        # The record comes before what it stands for: it tells the next run that all the rest is ours.
        directory(layout, Layout.state),
        Owner(app.name, inventory),
        Group(app.name),
        User(app.name, layout.shared),
        Group(builder),
        User(builder, "/nonexistent"),
    )


def _timezone(timezone: str) -> tuple[Resource, ...]:
    return (
        Link("/etc/localtime", f"/usr/share/zoneinfo/{timezone}", keeps=True),
        File("/etc/timezone", f"{timezone}\n", keeps=True),
    )


def _locale(locale: str) -> tuple[Resource, ...]:
    default = File("/etc/default/locale", f"LANG={locale}\n", keeps=True)
    return (default,) if locale in BUILT_IN else (Locale(locale), default)
