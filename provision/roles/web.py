"""nginx in front of the apps."""

from provision.engine.facts import SYSTEM, Facts
from provision.engine.resource import Ref, Resource
from provision.inventory import App, Host
from provision.release.layout import Layout
from provision.release.present import PRESENT, moved
from provision.release.template import render
from provision.resources.certificate import WEBROOT, Placeholder, link
from provision.resources.file import Directory, File, Link
from provision.resources.nginx_sites import NoForeignSites
from provision.resources.package import Packages
from provision.resources.ports import Ports
from provision.resources.service import Service
from provision.roles.wanted import Wanted

NGINX = "/etc/nginx"
# nginx 1.25.1 made `http2` a directive of its own; these come with an older one.
OLDER = {"debian11", "debian12", "ubuntu22.04", "ubuntu22.10", "ubuntu23.04", "ubuntu23.10", "ubuntu24.04"}


def web(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """nginx, its configuration, and a site with at least a self-signed certificate for each app."""
    apps = tuple(host.apps.values())
    final = host.tls.issuer == "self-signed"
    # While a domain moves, two sites have it, until both are written: -q hears no warnings. The service's own check does.
    check = "nginx -t -q" if moved(host, facts[PRESENT]) else "nginx -t"
    return (
        NoForeignSites(),
        Ports("nginx", (80, 443), "nginx"),
        Packages("nginx", ("nginx",)),
        Directory(WEBROOT),
        Directory("/etc/ssl/provision", mode=0o755),
        Placeholder("default", ("invalid.invalid",)),
        *(Placeholder(app.name, tuple(app.domains), final) for app in apps),
        File(f"{NGINX}/nginx.conf", render("nginx/nginx.conf.j2", host=host), check="nginx -t"),
        *_site("000-default", render("nginx/default.conf.j2", certificate=link("default")), check),
        *(resource for app in apps for resource in _site(app.name, _proxy(host, facts, app), check)),
        Service("nginx", _watched(apps), "reload", "nginx -t"),
    )


def _site(name: str, content: str, check: str) -> tuple[Resource, ...]:
    return (
        File(f"{NGINX}/sites-available/{name}.conf", content, check=check),
        Link(f"{NGINX}/sites-enabled/{name}.conf", f"../sites-available/{name}.conf"),
    )


def _proxy(host: Host, facts: Facts, app: App) -> str:
    return render(
        "nginx/site.conf.j2",
        host=host,
        app=app,
        layout=Layout(app.name),
        certificate=link(app.name),
        webroot=WEBROOT,
        hsts=host.tls.hsts and "tls" in host.roles and host.tls.issuer != "self-signed",
        http2_directive=facts[SYSTEM].distribution not in OLDER,
    )


def _watched(apps: tuple[App, ...]) -> tuple[Ref, ...]:
    sites = ("000-default", *(app.name for app in apps))
    return (
        File.ref_to(f"{NGINX}/nginx.conf"),
        *(
            ref
            for site in sites
            for ref in (
                File.ref_to(f"{NGINX}/sites-available/{site}.conf"),
                Link.ref_to(f"{NGINX}/sites-enabled/{site}.conf"),
            )
        ),
    )
