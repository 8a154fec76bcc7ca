"""The toolkit leaves a server, which is then as it was before: its files, packages, users and units."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import lab
from tests.lab import steps
from tests.lab.conftest import ROOT, Controller, sampled, seed, shell
from tests.lab.listing import changed, listing
from tests.lab.neighbours import INSTALL, OTHER, SECOND, asking
from tests.lab.refusals import lab_values
from tests.lab.repository import Repository

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab3")
TRUSTED = "/usr/local/share/ca-certificates/provision-*.crt /etc/ssl/certs/provision-*.pem"
SHOP, TALK, COUNTER = "shop", "talk", "counter.example.com"
CHANGED = {"timezone": "Europe/Zurich", "locale": "de_DE.UTF-8", "packages": ["rsync"]}
MAIN = """\
from pathlib import Path
import os

from fastapi import FastAPI

app = FastAPI()
(Path(os.environ["HOME"]) / "data").write_text("of the app")


@app.get("/health")
@app.get("/")
def greeting() -> str:
    return "hello"
"""


@dataclass(frozen=True)
class Declared:
    """Inventories of the server."""

    folder: Path
    repository: Repository
    pythons: Path

    def __call__(self, *apps: str, **changes: Any) -> Controller:
        """One with these apps, whose server trusts one authority more."""
        content = lab_values()
        content["mirrors"] = {**content.get("mirrors", {}), "ca_bundle": str(ROOT / "tests/unit/ca.pem")}
        content["hosts"] = {SERVER: content["hosts"][SERVER]}
        content["apps"] = {name: self._app(name) for name in apps}
        path = self.folder / f"{'-'.join(('apps', *apps))}.yml"
        path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
        seed(path, self.pythons)
        return Controller(path)

    def _app(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            "source": self.repository.url,
            "module": "main:app",
            "python": "system" if name == TALK else "3.13.5",
            "workers": 1,
            "health": "/health",
            "domains": [f"{name}.{{host}}.test"],
            "processes": {"worker": "sleep 1000"},
            "schedules": {"tidy": {"at": "03:00", "run": "true"}},
        }
        return values | ({"process_manager": "supervisor"} if name == TALK else {"adopt": ["user", "folders", "nginx"]})


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory, pythons: Path) -> Iterator[Declared]:
    """Inventories for apps of one repository, one with a Python of pyenv's and one with the distribution's."""
    made = Repository.create(f"remove-all-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    made.commit({"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n"})
    yield Declared(tmp_path_factory.mktemp("inventory"), made, pythons)
    made.remove()
    lab.reset(SERVER)


# Since the deploy, somebody else uses what came with it: a package, a site, and a program.
GUESTS = """
mkdir -p /tmp/guest/DEBIAN
printf '%s\\n' 'Package: guest' 'Version: 1' 'Architecture: all' 'Maintainer: a <a@example.com>' 'Description: a' 'Depends: rsync' >/tmp/guest/DEBIAN/control
dpkg-deb -b /tmp/guest /tmp/guest.deb && dpkg -i /tmp/guest.deb
apt-mark manual libcurl3-gnutls
printf 'server { listen 80; server_name guest.example.com; return 204; }\\n' >/etc/nginx/conf.d/guest.conf
systemd-run --unit=guest python3 -m http.server 9009
"""
NO_GUESTS = """
dpkg -P guest
apt-mark auto libcurl3-gnutls
rm -r /etc/nginx/conf.d/guest.conf /tmp/guest*
systemctl stop guest
"""
STAYS = (
    "stays: libcurl3-gnutls:amd64: somebody asked apt for it since",
    "stays: nginx: it serves /etc/nginx/conf.d/guest.conf",
    "stays: rsync: guest needs it",
)


def assert_ended(process: "subprocess.Popen[str]") -> None:
    """End the script of a removal on the server by SIGKILL."""
    steps.end_the_script(SERVER)
    said = json.loads(process.communicate(timeout=60)[0])["hosts"][SERVER]["error"]
    assert "was ended on the server" in said, said


# Where a removal is killed: parts of it and their steps, and as a whole once more while apt removes packages.
KILLED = {"once": (("site", 2),), "again and again": (("site", 2), ("certificate", 2), ("settings", 1))}


@pytest.mark.parametrize("killed", sampled(list(KILLED)))
def test_a_bare_server_is_bare_again_though_its_removal_was_killed(
    declared: Declared, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    lab.reset(SERVER)
    before = listing(SERVER)
    own = declared(SHOP, TALK, **CHANGED)
    own.deploy(SERVER)
    assert (
        shell(SERVER, "readlink /etc/localtime; cat /etc/timezone")
        == "/usr/share/zoneinfo/Europe/Zurich\nEurope/Zurich"
    )
    shell(SERVER, f"test -x /opt/pyenv/versions/3.13.5/bin/python && ls {TRUSTED} | grep -q .")
    shell(SERVER, GUESTS)
    planned = own("remove", SERVER, "--plan", "--json").host(SERVER)
    assert {*STAYS} <= {*planned["warnings"]}
    assert any(line.startswith("stays: python3.11-minimal: process ") for line in planned["warnings"])
    shell(SERVER, NO_GUESTS)
    monkeypatch.setattr(steps, "SECONDS", 300)
    everything = ("--with-data", SERVER, "--yes", "--json")
    with steps.noted(SERVER):
        for part, number in KILLED[killed]:
            steps.arm(SERVER, f"restored:{part}", number)
            process = own.start("remove", SERVER, *everything)
            steps.wait(SERVER)
            assert_ended(process)
    if killed != "once":
        process = own.start("remove", SERVER, *everything)
        shell(
            SERVER, "for _ in $(seq 900); do if pgrep -f '[d]pkg.*status-fd'; then exit 0; fi; sleep 0.1; done; exit 1"
        )
        assert_ended(process)
    removed = own("remove", SERVER, *everything)
    assert removed.status == 0, removed.stdout
    assert changed(SERVER, before) == ""
    again = own("remove", SERVER, "--yes")
    assert (again.status, again.stdout.splitlines()[-1]) == (0, f"{SERVER}: nothing to remove of this toolkit")
    assert changed(SERVER, before) == ""


# A server with a life of its own: nginx with sites in the three ways, one of them a program under Supervisor, a firewall, a cron job, users,
# a time zone, a banner, and a login shell that is none of sh's kind; and a user, folders and a site that an app adopts.
LIVED_IN = f"""
{INSTALL} nginx supervisor cron ufw fish curl openssl tzdata
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN={OTHER} \\
    -keyout /etc/ssl/other.key -out /etc/ssl/other.pem 2>/dev/null
cat >/etc/supervisor/conf.d/counter.conf <<'END'
[program:counter]
command=python3 -m http.server 9001 --bind 127.0.0.1 --directory /srv/counter
END
mkdir /srv/counter && echo counted >/srv/counter/index.html
cat >/etc/nginx/conf.d/counter.conf <<'END'
server {{ listen 80; listen [::]:80; server_name {COUNTER}; location / {{ proxy_pass http://127.0.0.1:9001; }} }}
END
cat >/etc/nginx/sites-available/second.conf <<'END'
server {{ listen 80; listen [::]:80; server_name {SECOND}; return 200 "$server_name\\n"; }}
END
ln -s ../sites-available/second.conf /etc/nginx/sites-enabled/second.conf
cat >/etc/nginx/sites-enabled/other <<'END'
server {{
    listen 80;
    listen 443 ssl default_server;
    server_name {OTHER};
    ssl_certificate /etc/ssl/other.pem;
    ssl_certificate_key /etc/ssl/other.key;
    return 200 "$server_name\\n";
}}
END
printf '17 * * * * root true\\n' >/etc/cron.d/counter
useradd -m -u 1600 -G staff -s /bin/bash shop
mkdir -m 2770 /srv/shop /etc/shop && echo mine >/srv/shop/file && echo A=1 >/etc/shop/env && chown -R shop:users /srv/shop
echo 'server {{ listen 80; server_name shop.{SERVER}.test; return 204; }}' >/etc/nginx/conf.d/shop.conf
useradd -m -s /usr/bin/fish alice
usermod -s /usr/bin/fish admin && su - admin -c true
ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime && echo Asia/Tokyo >/etc/timezone
echo 'No entry without a reason.' >/etc/issue.net
echo 'Banner /etc/issue.net' >/etc/ssh/sshd_config.d/banner.conf
for port in 22 80 443; do ufw allow $port/tcp; done; ufw --force enable
supervisorctl update; nginx -t && systemctl reload nginx && systemctl reload ssh
for _ in $(seq 50); do if curl -sf http://127.0.0.1:9001/; then break; fi; sleep 0.2; done
"""
ASKED = ((OTHER, False), (OTHER, True), ("nobody.example.com", True), (SECOND, False), (COUNTER, False))


@pytest.mark.long
def test_a_server_with_a_life_of_its_own_goes_on_with_it(declared: Declared) -> None:
    lab.reset(SERVER)
    shell(SERVER, LIVED_IN)
    before = listing(SERVER)
    own = declared(SHOP, TALK, timezone="Europe/Zurich")
    with asking(ASKED) as asked:
        own.deploy(SERVER)
        declared.repository.commit({"main.py": MAIN.replace("hello", "hello again")})
        own.deploy(SERVER)
        removed = own("remove", SERVER, "--yes", "--json")
        assert removed.status == 0, removed.stdout
        data = changed(SERVER, before)
        assert "+ /srv/shop/shared/data\t" in data
        assert "+ user shop:x:1600:1600::/srv/shop/shared:" in data
        assert "+ /srv/shop.before-provision/file\t" in data
        assert "shop.conf" not in data
        assert own("remove", SERVER, "--with-data", SERVER, "--yes", "--json").status == 0
    assert asked.count > 500
    assert changed(SERVER, before) == ""
