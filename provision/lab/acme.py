"""Pebble, Let's Encrypt's test authority: it checks real challenges, and no browser trusts its certificates."""

from __future__ import annotations

import json
import shutil
import ssl
import urllib.request
from typing import TYPE_CHECKING

from provision.lab import dns, network
from provision.lab.machine import LabError, run, until
from provision.lab.service import Service

if TYPE_CHECKING:
    from provision.lab.folder import Folder

PORT = 14000
MANAGEMENT = 15000
DIRECTORY = f"https://{network.GATEWAY}:{PORT}/dir"

LEAF = f"""\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=IP:{network.GATEWAY},DNS:{dns.ACME}
"""


def certify(folder: Folder) -> None:
    """A CA for Pebble's own API, and the API's certificate."""
    if folder.api_ca.exists() and (folder.acme / "api.pem").exists():
        return
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    half = folder.acme / "ca.pem"
    run(
        *(
            "openssl",
            "req",
            "-x509",
            *curve,
            "-keyout",
            folder.acme / "ca.key",
            "-out",
            half,
            "-days",
            "3650",
        ),
        *("-subj", "/CN=provision lab", "-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    request, extensions = folder.acme / "api.csr", folder.acme / "api.ext"
    extensions.write_text(LEAF)
    run(
        "openssl",
        "req",
        "-new",
        *curve,
        "-keyout",
        folder.acme / "api.key",
        "-out",
        request,
        "-subj",
        f"/CN={dns.ACME}",
    )
    run(
        *("openssl", "x509", "-req", "-in", request, "-CA", half, "-CAkey", folder.acme / "ca.key"),
        *("-CAcreateserial", "-days", "3650", "-extfile", extensions, "-out", folder.acme / "api.pem"),
    )
    shutil.copyfile(half, folder.api_ca)


def service(folder: Folder) -> Service:
    """Pebble, with its configuration and certificate written."""
    certify(folder)
    config = folder.acme / "pebble.json"
    settings = {
        "listenAddress": f"{network.GATEWAY}:{PORT}",
        "managementListenAddress": f"{network.GATEWAY}:{MANAGEMENT}",
        "certificate": str(folder.acme / "api.pem"),
        "privateKey": str(folder.acme / "api.key"),
        "httpPort": 80,
        "tlsPort": 443,
        "certificateValidityPeriod": 90 * 24 * 3600,
    }
    config.write_text(json.dumps({"pebble": settings}, indent=2) + "\n")
    command = ("pebble", "-config", str(config), "-dnsserver", f"{network.GATEWAY}:53")
    # No random pauses or refusals, and each order is challenged again.
    env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    return Service("acme", PORT, command, env)


def root(folder: Folder) -> None:
    """Write the root that the issued certificates chain to; Pebble makes a new one at each start."""
    context = ssl.create_default_context(cafile=str(folder.api_ca))
    address = f"https://{network.GATEWAY}:{MANAGEMENT}/roots/0"

    def fetched() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=5, context=context) as answer:
                folder.root_ca.write_bytes(answer.read())
        except OSError:
            return False
        return True

    if not until(fetched, timeout=10):
        raise LabError(f"Pebble does not serve its root certificate: {address}; its log: {folder.log / 'acme.log'}")
