"""nginx in front of the apps."""

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Resource
from provision.inventory import App, Host
from provision.release.layout import Layout
from provision.release.template import render
from provision.resources.certificate import WEBROOT, Placeholder, link
from provision.resources.file import Absent, Directory, File, Link
from provision.resources.file_set import FileSet, Member
from provision.resources.nginx import DEFAULT, FOLDER, LONG, NGINX, NoStockSite, conflicts, refuse
from provision.resources.package import Packages
from provision.resources.ports import Ports
from provision.resources.service import Service
from provision.roles.wanted import Wanted

SETTINGS = f"{FOLDER}/provision/settings.conf"
# nginx 1.25.1 made `http2` a directive of its own; these come with an older one.
OLDER = {"debian11", "debian12", "ubuntu22.04", "ubuntu22.10", "ubuntu23.04", "ubuntu23.10", "ubuntu24.04"}


def web(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """nginx, and beside what it serves a site with at least a self-signed certificate for each app.

    Raises PlanError if a site of another is in the way.
    """
    apps = tuple(host.apps.values())
    domains = {domain: app.name for app in apps for domain in app.domains}
    final = host.tls.issuer == "self-signed"
    nginx = Packages("nginx", ("nginx",))
    members = _members(host, facts, nginx)
    sites = FileSet("nginx", members, "nginx -t", conflicts(domains))
    refuse(facts[NGINX], domains, {member.path for member in members})
    return (
        Ports("nginx", (80, 443), "nginx"),
        nginx,
        Directory(WEBROOT),
        Directory("/etc/ssl/provision", mode=0o755),
        Placeholder("default", ("invalid.invalid",)),
        *(Placeholder(app.name, tuple(app.domains), final) for app in apps),
        Directory(f"{FOLDER}/provision"),
        sites,
        Service("nginx", (sites.ref,), "reload", "nginx -t", reads=sites.paths),
    )


def _members(host: Host, facts: Facts, package: Packages) -> tuple[Member, ...]:
    """nginx.conf stays the distribution's: what is ours is in files that it includes, and in each of our servers."""
    nginx, apps = facts[NGINX], tuple(host.apps.values())
    long = any(len(domain) > LONG for app in apps for domain in app.domains)
    default = render(
        "nginx/default.conf.j2",
        certificate=link("default"),
        settings=SETTINGS,
        defaults=nginx.defaults(),
        long_names=long and not set(nginx.sizes) - {DEFAULT},
    )
    # A link of before, under which nginx would read a site a second time.
    before = {f"{FOLDER}/sites-enabled/{app.name}.conf" for app in apps} & {*nginx.links}
    return (
        NoStockSite(nginx.stock, package.ref),
        *(Absent(path) for path in sorted(before)),
        File(SETTINGS, render("nginx/settings.conf.j2", host=host)),
        *_site("000-default", "000-default", default),
        *(member for app in apps for member in _site(app.name, f"zz-{app.name}", _proxy(host, facts, app))),
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
        hsts=host.tls.hsts and "tls" in host.roles and host.tls.issuer != "self-signed",
        http2_directive=not older,
        http2_sockets=facts[NGINX].http2() if older else (),
    )
