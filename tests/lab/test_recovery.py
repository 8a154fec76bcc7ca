"""What a bad day leaves on a server is mended by the next deploy, or said, and costs no more than it must."""

import os
from collections.abc import Callable, Iterator

import pytest

from provision import lab
from provision.lab import acme
from provision.release.layout import Layout, ReleaseLayout, SlotLayout
from provision.resources.package import Packages
from tests.lab.conftest import Answer, Controller, https, shell
from tests.lab.damages import ABSENT, SOCKETS, Damage, damages
from tests.lab.sample_site import SERVER, Apply, Site, assert_all_is_well, ids, status

pytest_plugins = ("tests.lab.sample_site",)
CERTBOT = "/etc/letsencrypt"
MARK = "/var/lib/provision/certificates/sample"
CERTIFICATE = "certificate:/etc/ssl/provision/sample"
SERIAL = "openssl x509 -noout -serial -in /etc/ssl/provision/sample/fullchain.pem"


def lineages() -> list[str]:
    """The files from which certbot renews."""
    return shell(SERVER, f"ls {CERTBOT}/renewal").split()


def deploy(site: Site, *options: str) -> Answer:
    """A deploy of the site's commit; it may fail."""
    return site.controller("deploy", SERVER, "--json", "--revision", site.commit, *options)


@pytest.fixture
def an_hour_later(site: Site) -> Iterator[None]:
    """The issuer was last asked more than an hour ago."""
    shell(SERVER, f"if test -e {MARK}; then touch -d '61 minutes ago' {MARK}; fi")
    yield
    shell(SERVER, f"rm -rf {CERTBOT}/put-aside")


@pytest.mark.parametrize(
    "hand", [f"rm -rf {CERTBOT}/live", f"cd {CERTBOT}/live/sample && ln -sfn ../../archive/none privkey.pem"]
)
def test_a_lineage_whose_links_are_lost_gets_them_back_and_no_other_certificate(
    site: Site, an_hour_later: None, hand: str
) -> None:
    before = shell(SERVER, SERIAL)
    shell(SERVER, hand)
    assert CERTIFICATE in site.plan().changed(SERVER)
    site.deploy()
    assert (shell(SERVER, SERIAL), lineages()) == (before, ["sample.conf"])
    shell(SERVER, "certbot renew -q --no-random-sleep-on-renew")
    assert_all_is_well(site)


# A certificate that ends in ten days, in place of the lineage's newest one.
ENDS = f"""
cd {CERTBOT}/archive/sample && number=$(ls fullchain*.pem | tr -dc '0-9\n' | sort -n | tail -n 1) &&
names=$(openssl x509 -in cert$number.pem -noout -ext subjectAltName | sed -n 's/ //g;$p') &&
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 10 -subj /CN=test -addext "subjectAltName=$names" \\
    -keyout privkey$number.pem -out cert$number.pem 2>/dev/null && cat cert$number.pem chain$number.pem >fullchain$number.pem &&
systemctl reload nginx
"""


def test_a_certificate_that_ends_soon_stops_no_deploy_while_its_issuer_is_down(site: Site, an_hour_later: None) -> None:
    shell(SERVER, ENDS)
    cut = f"ipproto tcp dport {acme.PORT} unreachable"
    shell(SERVER, f"ip rule add {cut}")
    try:
        first = deploy(site).host(SERVER)
        assert first["status"] == "changed", first
        assert CERTIFICATE in [one["id"] for one in first["changes"]]
        (notice,) = first["notes"]
        assert notice.startswith("sample: https://10.213.0.1:14000/dir gave no other certificate, and certbot goes on")
        assert notice.endswith("the certificate that there is serves on, and ends in 9 days")
        second = deploy(site).host(SERVER)
        assert (second["status"], second["notes"]) == ("ok", []), second
        assert https(SERVER, "/health", "", "-k").returncode == 0
    finally:
        shell(SERVER, f"ip rule del {cut}; touch -d '61 minutes ago' {MARK}")
    before = shell(SERVER, SERIAL)
    assert deploy(site).changed(SERVER) == [CERTIFICATE, "service:nginx-certificates"]
    assert shell(SERVER, SERIAL) != before
    assert_all_is_well(site)


def test_a_lineage_that_certbot_did_not_finish_is_put_aside_and_the_next_has_its_name(
    site: Site, an_hour_later: None
) -> None:
    before = shell(SERVER, SERIAL)
    shell(
        SERVER,
        f"cd {CERTBOT} && : >renewal/sample.conf && rm -rf live/sample archive/sample/privkey* && "
        "touch renewal/sample-0001.conf && mkdir live/sample-0001 archive/sample-0002",
    )
    notices = site.deploy().host(SERVER)["notes"]
    assert (shell(SERVER, SERIAL) == before, lineages()) == (False, ["sample.conf"])
    aside = shell(SERVER, f"ls {CERTBOT}/put-aside").split()
    assert {name.rpartition("-")[0] for name in aside} == {"sample", "sample-0001", "sample-0002"}
    assert {
        f"sample: certbot's lineage {name.rpartition('-')[0]} was broken, or one too many: "
        f"it was moved to {CERTBOT}/put-aside/{name}"
        for name in aside
    } == set(notices)
    assert shell(SERVER, f"ls {CERTBOT}/archive {CERTBOT}/live").count("sample-") == 0
    shell(SERVER, "certbot renew -q --no-random-sleep-on-renew")
    assert_all_is_well(site)


@pytest.mark.long
def test_a_lineage_of_another_name_that_fits_is_used(site: Site, an_hour_later: None) -> None:
    before = shell(SERVER, SERIAL)
    shell(
        SERVER,
        f"cd {CERTBOT} && for each in live archive; do mv $each/sample $each/shop; done && "
        "for each in cert chain fullchain privkey; do ln -sfn ../../archive/shop/$each*.pem live/shop/$each.pem; done && "
        "sed 's:/sample:/shop:g' renewal/sample.conf >renewal/shop.conf && rm renewal/sample.conf",
    )
    site.deploy()
    assert (shell(SERVER, SERIAL), lineages()) == (before, ["shop.conf"])
    shell(SERVER, "readlink /etc/ssl/provision/sample | grep -x /etc/letsencrypt/live/shop")
    assert_all_is_well(site)
    shell(SERVER, f"rm -rf {CERTBOT}/live {CERTBOT}/archive {CERTBOT}/renewal")
    site.deploy()
    assert lineages() == ["sample.conf"]


@pytest.mark.long
def test_an_issuer_is_asked_once_an_hour_unless_the_user_says_otherwise(site: Site, an_hour_later: None) -> None:
    shell(SERVER, f"rm -rf {CERTBOT}")
    first = site.deploy()
    shell(SERVER, f"rm -rf {CERTBOT}")
    second = deploy(site)
    assert CERTIFICATE in first.changed(SERVER)
    assert second.status == 1
    assert second.host(SERVER)["error"].startswith(
        "sample: https://10.213.0.1:14000/dir gave, or may have given, a certif"
    )
    assert second.host(SERVER)["error"].endswith("Z, or now with --force")
    assert second.host(SERVER)["changed"] == 0
    assert deploy(site, "--force").status == 0
    assert_all_is_well(site)


def renamed(site: Site, name: str, domain: str = "sample.{host}.test", source: str = "provision.git") -> Controller:
    """The site's inventory with its app under another name."""
    text = site.controller.inventory.read_text().replace("\n  sample:\n", f"\n  {name}:\n")
    text = text.replace("sample.{host}.test", domain).replace("10.213.0.1/provision.git", f"10.213.0.1/{source}")
    return site.controller.with_text(text, "renamed")


def test_an_app_that_the_inventory_does_not_have_is_named_and_keeps_its_domain(site: Site) -> None:
    slot = shell(SERVER, "basename $(readlink /run/sample/current.sock) .sock")
    line = (
        f"sample (for sample.{SERVER}.test) is on this server and not in the inventory; sample@{slot}.service still run"
    )
    other = renamed(site, "shop", "shop.{host}.test")
    assert other.plan(SERVER).host(SERVER)["notes"][-1].startswith(f"{line}: invoke remove --host ")
    removal = f"{SERVER}: {line}: invoke remove --host {SERVER} --app sample removes it"
    assert removal in other("status", SERVER).stdout.splitlines()
    (unlisted,) = other("status", SERVER, "--json").host(SERVER)["unlisted"]
    assert (unlisted["app"], unlisted["runs"]) == ("sample", [f"sample@{slot}.service"])
    assert site.controller("status", SERVER, "--json").host(SERVER)["unlisted"] == []
    refused = renamed(site, "shop")("deploy", SERVER, "--json").host(SERVER)
    assert refused["error"].startswith(f"shop: sample.{SERVER}.test is served by sample (for ")
    assert refused["changed"] == 0


def test_an_app_of_the_same_name_from_elsewhere_and_for_other_domains_is_refused(site: Site) -> None:
    refused = renamed(site, "sample", "shop.{host}.test", "pyenv.git")("deploy", SERVER, "--json").host(SERVER)
    assert refused["error"].startswith(
        "sample: another app of this name is on this server, from git://10.213.0.1/provis"
    )
    assert refused["changed"] == 0
    assert_all_is_well(site)


THIEF = """\
server {
    listen 443 ssl;
    server_name NAME;
    ssl_certificate /etc/ssl/provision/sample/fullchain.pem;
    ssl_certificate_key /etc/ssl/provision/sample/privkey.pem;
    location / { return 200 elsewhere; }
}
"""


@pytest.fixture
def thief(site: Site) -> Iterator[Callable[[str], None]]:
    """Gives a name of the site to another site, which nginx reads first; a reload of nginx does not say so."""

    def steal(name: str) -> None:
        shell(SERVER, f"cat >/etc/nginx/sites-enabled/0-other.conf <<'END'\n{THIEF.replace('NAME', name)}END")

    yield steal
    shell(SERVER, "rm -f /etc/nginx/sites-enabled/0-other.conf && systemctl reload nginx && sleep 1")
    site.deploy()
    assert_all_is_well(site)


def test_a_name_that_another_site_of_nginx_has_too_is_an_error(site: Site, thief: Callable[[str], None]) -> None:
    thief(f"sample.{SERVER}.test")
    shell(SERVER, "echo '# by hand' >>/etc/nginx/sites-available/sample.conf")
    refused = deploy(site).host(SERVER)
    assert refused["error"].startswith(
        f"sample: sample.{SERVER}.test is served by /etc/nginx/sites-enabled/0-other.conf, which this toolkit did not write"
    )


@pytest.mark.long
def test_an_activation_succeeds_only_if_each_name_answers_from_the_release(
    site: Site, thief: Callable[[str], None]
) -> None:
    thief(f"www.sample.{SERVER}.test")
    text = site.controller.inventory.read_text()
    site.controller.with_text(text.replace('"sample.{host}.test"', '"sample.{host}.test", "www.sample.{host}.test"'))
    shell(SERVER, "mv /etc/nginx/sites-enabled/0-other.conf /root")
    site.deploy()
    assert "elsewhere" not in https(SERVER, "/", f"www.sample.{SERVER}.test").stdout
    assert "x-provision-release" not in https(SERVER, "/", "", "-i").stdout.lower()
    shell(SERVER, "mv /root/0-other.conf /etc/nginx/sites-enabled/ && systemctl reload nginx && sleep 1")
    before = shell(SERVER, "readlink /run/sample/current.sock")
    answer = site.controller("restart", SERVER, "--json")
    site.controller.with_text(text)
    assert answer.host(SERVER)["error"].startswith(
        f"sample: https://www.sample.{SERVER}.test/health answers 200 through"
    )
    assert "another site of this server has the name" in answer.host(SERVER)["error"]
    assert shell(SERVER, "readlink /run/sample/current.sock") == before
    assert status() == "200"


def test_a_masked_service_is_an_error_that_says_the_way_out(site: Site) -> None:
    shell(SERVER, "systemctl mask --quiet certbot.timer")
    refused = deploy(site).host(SERVER)
    shell(SERVER, "systemctl unmask --quiet certbot.timer")
    assert refused["error"] == (
        "certbot.timer is masked on this server, and cannot be started: run systemctl unmask certbot.timer there, then run again"
    )
    site.deploy()
    assert_all_is_well(site)


# A package whose first installation ends as by a power cut: dpkg is killed while it configures it.
CUT = """\
rm -rf /root/cut && mkdir -p /root/cut/DEBIAN && cd /root/cut/DEBIAN
printf 'Package: cut\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: cut\\n' >control
printf '#!/bin/sh\\nif mkdir /root/cut/once 2>/dev/null; then kill -9 $PPID; fi\\n' >postinst
chmod 755 postinst
dpkg-deb -b /root/cut /root/cut.deb
dpkg -i /root/cut.deb || true
apt-get -q -y install cut 2>&1 | grep 'dpkg was interrupted'
"""
LOCK = "import fcntl, time; file = open('PATH', 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(4)"


def test_what_an_interrupted_dpkg_left_undone_is_finished_and_said(apply: Apply) -> None:
    shell(SERVER, CUT)
    result = apply(Packages("sl", ("sl",)))
    assert ids(result) == ["packages:sl"]
    assert result.notices == (
        "dpkg was interrupted on this server, by a power cut perhaps: dpkg --configure -a finishes what it began",
    )
    assert shell(SERVER, "dpkg --audit; dpkg-query -W -f '${db:Status-Abbrev}' cut sl").split() == ["ii", "ii"]
    shell(SERVER, "dpkg --purge cut sl && rm -r /root/cut /root/cut.deb")


@pytest.mark.parametrize("path", ["/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock"])
def test_whoever_else_uses_apt_is_waited_for(apply: Apply, path: str) -> None:
    shell(
        SERVER,
        f'systemd-run -q python3 -c "{LOCK.replace("PATH", path)}"; sleep 0.5; rm -f /var/lib/apt/lists/*Packages*',
    )
    result = apply(Packages("sl", ("sl",)))
    assert ids(result) == ["packages:sl"]
    (notice,) = result.notices
    assert notice.startswith("another program is using apt (")
    assert "python3 -c" in notice, notice
    shell(SERVER, "dpkg --purge sl")


TABLE = tuple(damages("sample"))
STRIDE = 1 if os.environ.get("PROVISION_EVERY_PATH") else 17
WHERE = (
    "active=$(basename $(readlink /run/sample/current.sock) .sock); idle=$(echo bluegreen | sed s/$active//); "
    "release=$(basename $(readlink /srv/sample/current)); "
)


def test_the_table_has_each_path_of_the_layout() -> None:
    tables = (Layout, SlotLayout, ReleaseLayout)
    named = {damage.name.rpartition("-")[2] for damage in TABLE}
    assert {name for table in tables for name, _ in table.table()} - ABSENT - SOCKETS == named


@pytest.mark.parametrize("damage", TABLE[::STRIDE], ids=str)
def test_a_damaged_path_is_in_the_plan_and_is_mended(site: Site, damage: Damage) -> None:
    if lab.shell(SERVER, f"{WHERE} test -e /etc/sample/$idle/fingerprint").returncode:
        site.controller("restart", SERVER)
    shell(SERVER, f"{WHERE} {damage.hand}")
    planned = site.plan()
    site.deploy()
    after = site.plan()
    assert (planned.status, after.status, after.changed(SERVER)) == (2, 0, [])
    if damage.place.kind != "link":
        owner, group = (each.format(app="sample") for each in (damage.place.owner, damage.place.group))
        seen = shell(SERVER, f"{WHERE} stat -c '%F %U:%G %a' {damage.path}").replace(
            "regular empty file", "regular file"
        )
        kind = {"file": "regular file", "directory": "directory"}[damage.place.kind]
        assert seen == f"{kind} {owner}:{group} {damage.place.mode:o}"
    assert status() == "200"
    shell(SERVER, "rm -rf /root/moved")
