"""nginx in front of the apps."""

from collections.abc import Sequence

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Phase, Resource
from provision.errors import PlanError
from provision.inventory import App, Host
from provision.release.claim import adopting
from provision.release.layout import Layout
from provision.release.present import PRESENT
from provision.release.template import render
from provision.resources.certificate import WEBROOT, Placeholder, Switch, link
from provision.resources.file import Absent, Directory, File, Link
from provision.resources.file_set import FileSet, Member
from provision.resources.nginx import DEFAULT, FOLDER, LONG, NGINX, AdoptedSite, Nginx, NoStockSite, conflicts, refuse
from provision.resources.nginx_sandbox import PREPARATION, PROGRAM, NginxSandbox
from provision.resources.package import Packages
from provision.resources.ports import Ports
from provision.resources.service import Service
from provision.roles.waiting import Waiting, waiting
from provision.roles.wanted import Wanted
from provision.untrusted import line as shown

SETTINGS = f"{FOLDER}/provision/settings.conf"
ANSWERS, ANSWERS_LINK = f"{FOLDER}/sites-available/000-answers.conf", f"{FOLDER}/sites-enabled/zz-000-answers.conf"
# nginx 1.25.1 made `http2` a directive of its own; these come with an older one.
OLDER = {"debian11", "debian12", "ubuntu22.04", "ubuntu22.10", "ubuntu23.04", "ubuntu23.10", "ubuntu24.04"}
# For a day, a browser knows that there is HTTP/3.
ALTERNATIVE = """'h3=":443"; ma=86400'"""
# Mozilla's groups for key exchange, and before them the post-quantum one, which an OpenSSL older than 3.5 would pass over (`?`).
GROUPS, QUANTUM = "X25519:prime256v1:secp384r1", "?X25519MLKEM768"
WITH_QUANTUM = {"debian13"}


def web(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """nginx, and beside what it serves a site with at least a self-signed certificate for each app.

    A site that waits for a certificate is not among them: it comes in `switched`. Raises PlanError if a site of another is in
    the way.
    """
    apps, wait = tuple(host.apps.values()), waiting(host, facts)
    _refuse_http3(host, facts)
    domains = {domain: app.name for app in apps for domain in app.domains}
    final = host.tls.issuer == "self-signed"
    nginx = Packages("nginx", ("nginx",))
    ways = _ways(apps, facts)
    refuse(_beside(host, facts), domains, {one.path for one in _members(host, facts, nginx, Waiting())}, ways)
    names = (*wait.names, *(domain for domain, app in domains.items() if app not in wait.apps))
    sites = FileSet("nginx", _members(host, facts, nginx, wait), "nginx -t", conflicts(names), first=bool(wait.apps))
    load = Service(
        "nginx",
        (sites.ref,),
        "reload",
        "nginx -t",
        stamp="nginx-first" if wait.apps else "",
        reads=sites.paths,
    )
    return (
        Ports("nginx", (80, 443), "nginx"),
        nginx,
        Directory(WEBROOT),
        Directory("/etc/ssl/provision", mode=0o755),
        Placeholder("default", ("invalid.invalid",)),
        *(Placeholder(app.name, tuple(app.domains), final) for app in apps),
        Directory(f"{FOLDER}/provision"),
        sites,
        # If nobody has to be answered in between, nginx reads all at the end, at once.
        *((load,) if not wait.apps or wait.names or wait.first else ()),
        *_sandbox(host, facts),
        *(Absent(Layout(app.name).answers) for app in apps if not app.cache.answers and app.name not in wait.apps),
    )


def _sandbox(host: Host, facts: Facts) -> tuple[Resource, ...]:
    """nginx's sandbox, and before it the program that it starts with where it does without root; or neither."""
    wanted = host.hardening.wants("nginx")
    sandbox = NginxSandbox(wanted, frozenset(one.path for one in _adopted(host, facts)))
    return (File(PROGRAM, PREPARATION, mode=0o755), sandbox) if wanted else (sandbox, Absent(PROGRAM))


def switched(
    host: Host, facts: Facts, read: Service | None, heirs: frozenset[str] = frozenset()
) -> tuple[Resource, ...]:
    """Once there are certificates, nginx reads them (`read`), and with them the sites that waited for them.

    Where an app takes over from another, that is once it has the traffic, if it is among the `heirs` that are to have it.
    """
    wait = waiting(host, facts)
    if not wait.apps:
        return (read,) if read else ()
    apps = tuple(app for app in host.apps.values() if app.name in (wait.apps & heirs if wait.heirs else wait.apps))
    switches = tuple(Switch(app.name) for app in apps if read and host.tls.issuer != "files")
    gone = (
        place
        for old in (old for name, old in wait.heirs.items() if name in heirs)
        for place in (f"enabled/zz-{old.app}", f"enabled/{old.app}", f"available/{old.app}")
    )
    written = FileSet.ref_to("nginx", first=True) if wait.names else None
    members: tuple[Member, ...] = (
        *(Absent(f"{FOLDER}/sites-{place}.conf") for place in gone),
        *(member for app in apps for member in _proxied(host, facts, app)),
        *switches,
        *(Absent(path, written) for path in (ANSWERS_LINK, ANSWERS)),
    )
    all_names = (domain for app in host.apps.values() for domain in app.domains)
    replaced = tuple(path for switch in switches for path in switch.replaces)
    phase: Phase = "finish" if wait.heirs else "prepare"
    sites = FileSet("nginx", members, "nginx -t", conflicts(all_names), replaces=replaced, phase=phase)
    paths = FileSet("nginx", _members(host, facts, Packages("nginx", ("nginx",)), Waiting()), "").paths
    watched = (sites.ref, *(read.watches if read else ()))
    return (sites, Service("nginx", watched, "reload", "nginx -t", reads=paths, also=read, phase=phase))


def _members(host: Host, facts: Facts, package: Packages, wait: Waiting) -> tuple[Member, ...]:
    """nginx.conf stays the distribution's: what is ours is in files that it includes, and in each of our servers.

    Of the apps that wait, nothing is touched.
    """
    nginx, apps = _beside(host, facts), tuple(app for app in host.apps.values() if app.name not in wait.apps)
    names = (*(domain for app in host.apps.values() for domain in app.domains), *_served(facts, wait))
    default = render(
        "nginx/default.conf.j2",
        certificate=link("default"),
        settings=SETTINGS,
        defaults=nginx.defaults(),
        http3=host.tls.http3,
        long_names=any(len(name) > LONG for name in names) and not set(nginx.sizes) - {DEFAULT},
    )
    answers = {ANSWERS, ANSWERS_LINK} if ANSWERS_LINK in nginx.links else set()
    return (
        NoStockSite(nginx.stock, package.ref),
        *_adopted(host, facts),
        File(SETTINGS, render("nginx/settings.conf.j2", host=host, groups=_groups(facts))),
        *_site("000-default", "000-default", default),
        *(member for app in apps for member in _proxied(host, facts, app)),
        *(_answering(wait) if wait.names else map(Absent, sorted(answers, reverse=True))),
    )


def _refuse_http3(host: Host, facts: Facts) -> None:
    """Raises PlanError if nginx has no HTTP/3, or somebody else's site has it: there is one QUIC socket for each worker and port."""
    if not host.tls.http3:
        return
    if facts[SYSTEM].distribution in OLDER:
        system = f"{facts[SYSTEM].system.capitalize()} {facts[SYSTEM].version}"
        raise PlanError(
            f"tls.http3: the nginx of {system} has no HTTP/3; Debian 13 has one that does: take http3 out for this host"
        )
    if file := _beside(host, facts).http3():
        raise PlanError(
            f"tls.http3: {shown(file, 120)} listens for HTTP/3 already: take quic out there, or http3 out of the inventory"
        )


def _groups(facts: Facts) -> str:
    return f"{QUANTUM}:{GROUPS}" if facts[SYSTEM].distribution in WITH_QUANTUM else GROUPS


def _adopted(host: Host, facts: Facts) -> tuple[AdoptedSite, ...]:
    """The sites of others that the apps are to have."""
    return tuple(
        AdoptedSite(path, app.name, Layout(app.name).adopted)
        for app in host.apps.values()
        if "nginx" in app.adopt
        for path in facts[NGINX].alone(app.domains)
    )


def _beside(host: Host, facts: Facts) -> Nginx:
    """What nginx reads, without the sites that are adopted."""
    return facts[NGINX].without({one.path for one in _adopted(host, facts)})


def _ways(apps: Sequence[App], facts: Facts) -> dict[str, str]:
    """By the file of a site that may be adopted, what to write for that."""
    return {
        path: f", or say {adopting(*app.adopt, 'nginx')} for the app"
        for app in apps
        for path in facts[NGINX].alone(app.domains)
    }


def _served(facts: Facts, wait: Waiting) -> tuple[str, ...]:
    return tuple(name for one in facts[PRESENT] if one.app in wait.apps for name in one.domains)


def _answering(wait: Waiting) -> tuple[Member, ...]:
    """Where an issuer asks for names that nothing serves yet."""
    return _site(
        "000-answers",
        "zz-000-answers",
        render("nginx/answers.conf.j2", names=wait.names, settings=SETTINGS, webroot=WEBROOT),
    )


def _proxied(host: Host, facts: Facts, app: App) -> tuple[Member, ...]:
    """An app's site; and not the link of before, under which nginx would read it a second time."""
    before = f"{FOLDER}/sites-enabled/{app.name}.conf"
    return (
        *((Absent(before),) if before in facts[NGINX].links else ()),
        *_site(app.name, f"zz-{app.name}", _proxy(host, facts, app)),
    )


def _site(name: str, enabled: str, content: str) -> tuple[Member, ...]:
    """A site, and the link by which nginx reads it: after those of others, of which the first may answer to what no site has."""
    return (
        File(f"{FOLDER}/sites-available/{name}.conf", content),
        Link(f"{FOLDER}/sites-enabled/{enabled}.conf", f"../sites-available/{name}.conf"),
    )


def _proxy(host: Host, facts: Facts, app: App) -> str:
    older = facts[SYSTEM].distribution in OLDER
    return render(
        "nginx/site.conf.j2",
        host=host,
        app=app,
        layout=Layout(app.name),
        certificate=link(app.name),
        settings=SETTINGS,
        webroot=WEBROOT,
        headers=_headers(host, app),
        http2_directive=not older,
        http2_sockets=_beside(host, facts).http2() if older else (),
    )


def _headers(host: Host, app: App) -> dict[str, str]:
    """What the site adds to each answer: the names of the headers, and what nginx has as their values."""
    hsts = host.tls.transport_security if "tls" in host.roles and host.tls.issuer != "self-signed" else ""
    prefix = f"app_{app.name}_".replace("-", "_")
    said = {"Strict-Transport-Security": f'"{hsts}"'} if hsts else {}
    if host.tls.http3:
        said["Alt-Svc"] = ALTERNATIVE
    return said | {name: f"${prefix}{name.lower().replace('-', '_')}" for name in app.headers.sent}
