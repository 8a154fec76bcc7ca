"""Certificates from an ACME directory and their renewal, or the inventory's own."""

from provision.engine.facts import Facts
from provision.engine.resource import Resource
from provision.errors import PlanError
from provision.inventory import App, Host
from provision.release.systemd import UNITS
from provision.resources.certificate import CREDENTIALS, Certificate, Placeholder, ProvidedCertificate
from provision.resources.file import Absent, Directory, File
from provision.resources.package import Packages
from provision.resources.renewal import Renewal
from provision.resources.service import Service
from provision.roles.app import meant
from provision.roles.waiting import waiting
from provision.roles.wanted import Wanted
from provision.roles.web import switched

DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
HOOK = "#!/bin/sh\n# After a renewal, nginx reads the new certificate. Written by provision.\nexec systemctl reload nginx\n"
CA = "/etc/provision/acme-ca.pem"


def tls(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """A certificate for each app; nothing if the issuer is self-signed."""
    if host.tls.issuer == "self-signed" or not host.apps:
        return ()
    wait = waiting(host, facts)
    # An app that takes over from another has its site last of all (renaming.py).
    later = any(app.name in wait.heirs and app.name in wanted.commits for app in meant(host, wanted))
    read = reading(host)
    last = () if later or not read else (read,) if wait.heirs else switched(host, facts, read)
    if host.tls.issuer == "files":
        given = (host.tls.chain, host.tls.private_key)
        provided = (ProvidedCertificate(app.name, tuple(app.domains), *given) for app in host.apps.values())
        return (*provided, *last)
    return (
        Packages("certbot", ("certbot",)),
        Directory("/etc/letsencrypt/renewal-hooks/deploy"),
        File("/etc/letsencrypt/renewal-hooks/deploy/nginx", HOOK, mode=0o755),
        *_authority(host),
        *_challenge(host),
        Service("certbot.timer"),
        *(_certificate(host, app, wanted, held=app.name in wait.apps) for app in host.apps.values()),
        *(() if host.tls.dns else (Absent(CREDENTIALS),)),
        *last,
    )


def renewed(host: Host, facts: Facts, wanted: Wanted) -> tuple[Resource, ...]:
    """A new certificate for each app that is meant, and nginx serves it. Raises PlanError where no issuer gives any."""
    read = reading(host)
    if not read or host.tls.issuer == "files":
        why = "tls.issuer: files has yours" if host.tls.issuer == "files" else "none of its certificates is an issuer's"
        raise PlanError(f"{host.name}: there is nothing to renew: {why}")
    return (*(Renewal(_certificate(host, app, wanted)) for app in meant(host, wanted)), read)


def _certificate(host: Host, app: App, wanted: Wanted, held: bool = False) -> Certificate:
    return Certificate(
        app=app.name,
        domains=tuple(app.domains),
        server=DIRECTORIES.get(host.tls.issuer, host.tls.issuer),
        email=host.tls.email or "",
        address=host.address,
        check_dns=host.tls.check_dns,
        ca=CA if host.tls.authorities else "",
        again=wanted.force,
        held=held,
        dns=host.tls.dns.plugin if host.tls.dns else "",
        wait=host.tls.dns.wait if host.tls.dns else 0,
    )


def reading(host: Host) -> Service | None:
    """nginx reads the apps' certificates, if they have any but self-signed ones."""
    if "tls" not in host.roles or host.tls.issuer == "self-signed":
        return None
    watched = tuple(ref for app in host.apps for ref in (Placeholder.ref_to(app), Certificate.ref_to(app)))
    return Service("nginx", watched, "reload", "nginx -t", stamp="nginx-certificates")


def _challenge(host: Host) -> tuple[Resource, ...]:
    """What sets DNS records to show that the domains are the inventory's, with the login that it needs."""
    dns = host.tls.dns
    if not dns:
        return ()
    return (
        Packages("certbot-dns", (f"python3-certbot-dns-{dns.plugin}",)),
        *(() if host.tls.authorities else (Directory("/etc/provision"),)),
        File(CREDENTIALS, dns.text, mode=0o600, secret=True),
    )


def _authority(host: Host) -> tuple[Resource, ...]:
    """The CA of a private ACME directory's API, for this run and for certbot's timer."""
    if not host.tls.authorities:
        return ()
    return (
        Directory("/etc/provision"),
        File(CA, "".join(host.tls.authorities)),
        Directory(f"{UNITS}/certbot.service.d"),
        File(
            f"{UNITS}/certbot.service.d/authority.conf",
            f"[Service]\nEnvironment=REQUESTS_CA_BUNDLE={CA}\n",
        ),
    )
